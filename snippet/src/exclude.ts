// Pages that get no token in the address: path patterns, separated by spaces,
// where * stands for anything. "/ /account/*" is the front page and all below
// /account/.

export const excluded = (path: string, patterns = '/'): boolean =>
  RegExp(
    `^(${patterns
      .replace(/[^\w\s*]/g, '\\$&')
      .replace(/\*/g, '.*')
      .replace(/\s+/g, '|')})$`,
  ).test(path)
