package config

import (
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/alecthomas/kong"
)

// EnvPrefix begins the name of each setting in the environment.
const EnvPrefix = "PASSALONG"

// Load reads a TOML file of settings for kong.
func Load(r io.Reader) (kong.Resolver, error) {
	values := map[string]any{}
	if _, err := toml.NewDecoder(r).Decode(&values); err != nil {
		var at toml.ParseError
		if errors.As(err, &at) {
			return nil, fmt.Errorf("line %d: %s", at.Position.Line, at.Message)
		}
		return nil, err
	}
	return file(values), nil
}

// file is a TOML file as a source of settings.
type file map[string]any

// Validate refuses keys that are no setting.
func (f file) Validate(app *kong.Application) error {
	var names []string
	for _, flag := range app.Flags {
		names = append(names, flag.Name)
	}
	for key := range f {
		if !slices.Contains(names, key) || key == "help" || key == "config" {
			return fmt.Errorf("the file has no setting %q%s", key, hint(key, names))
		}
	}
	return nil
}

// Resolve gives the file's value, unless the environment has one: kong asks
// resolvers even then.
func (f file) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs {
		if _, ok := os.LookupEnv(env); ok {
			return nil, nil
		}
	}
	value, ok := f[flag.Name]
	if !ok {
		return nil, nil
	}
	switch v := value.(type) {
	case []map[string]any: // [[site]]
		list := make([]any, len(v))
		for i := range v {
			list[i] = v[i]
		}
		return list, nil
	case []any:
		if flag.Name != "site" { // trusted-proxies = ["a", "b"]
			return strings.Trim(strings.ReplaceAll(fmt.Sprint(v), " ", ","), "[]"), nil
		}
	case int64:
		return fmt.Sprint(v), nil
	}
	return value, nil
}

// UnknownEnv lists variables that look like a mistyped setting, each with a
// hint.
func UnknownEnv(app *kong.Application, environ []string) []string {
	var known, odd []string
	for _, flag := range app.Flags {
		known = append(known, flag.Envs...)
	}
	for _, entry := range environ {
		name, _, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, EnvPrefix+"_") || slices.Contains(known, name) {
			continue
		}
		if h := hint(name, known); h != "" {
			odd = append(odd, fmt.Sprintf("%s is no setting%s", name, h))
		}
	}
	slices.Sort(odd)
	return odd
}
