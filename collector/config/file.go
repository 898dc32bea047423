package config

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/alecthomas/kong"
)

// EnvPrefix begins the name of each setting in the environment.
const EnvPrefix = "PASSALONG"

// A File is the flag that names the file of settings.
type File string

// BeforeResolve makes the file a source of settings.
func (File) BeforeResolve(k *kong.Kong, ctx *kong.Context, trace *kong.Path) error {
	resolver, err := k.LoadConfig(string(ctx.FlagValue(trace.Flag).(File)))
	if _, unread := errors.AsType[*fs.PathError](err); unread {
		return fmt.Errorf("config: %w", err)
	}
	if err != nil {
		return err // names the file
	}
	ctx.AddResolver(resolver)
	return nil
}

// Load reads a TOML file of settings for kong and checks each value by its
// setting. The name of the file, where r has one, begins every error.
func Load(r io.Reader) (kong.Resolver, error) {
	f, err := load(r)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", nameOf(r), err)
	}
	return f, nil
}

func load(r io.Reader) (file, error) {
	f := file{}
	if _, err := toml.NewDecoder(r).Decode((*map[string]any)(&f)); err != nil {
		var at toml.ParseError
		if errors.As(err, &at) { // line 3 (last key "listen"): what is wrong there
			return nil, errors.New(strings.TrimPrefix(at.Error(), "toml: "))
		}
		return nil, err
	}
	settings, err := kong.New(&struct{ Config }{}, kong.Name("passalong"))
	if err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	flags := map[string]*kong.Flag{}
	for _, flag := range settings.Model.Flags {
		if flag.Name != "help" {
			flags[flag.Name] = flag
		}
	}
	names := slices.Sorted(maps.Keys(flags))
	for _, name := range slices.Sorted(maps.Keys(f)) {
		flag, ok := flags[name]
		if !ok {
			return nil, fmt.Errorf("no setting %q%s", name, hint(name, names))
		}
		if name == "site" {
			f[name], err = siteEntries(f[name])
		} else {
			f[name], err = single(flag, f[name])
		}
		if err != nil {
			return nil, err
		}
		if err := check(flag, f[name]); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return f, nil
}

// nameOf is the path of r as somebody in the working directory writes it.
func nameOf(r io.Reader) string {
	named, ok := r.(interface{ Name() string })
	if !ok {
		return "config"
	}
	path := named.Name()
	if wd, err := os.Getwd(); err == nil {
		if rel, err := filepath.Rel(wd, path); err == nil && filepath.IsLocal(rel) {
			return rel
		}
	}
	return path
}

// single is the value of a setting as a flag would have it.
func single(flag *kong.Flag, value any) (any, error) {
	switch v := value.(type) {
	case string:
		return v, nil
	case int64:
		return strconv.FormatInt(v, 10), nil
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), nil
	case []any:
		if flag.Target.Kind() != reflect.Slice {
			return nil, fmt.Errorf("%s: takes one value, not a list", flag.Name)
		}
		var all []string
		for _, one := range v {
			s, ok := one.(string)
			if !ok {
				return nil, fmt.Errorf("%s: takes a list of texts", flag.Name)
			}
			all = append(all, s)
		}
		return strings.Join(all, ","), nil
	}
	return nil, fmt.Errorf("%s: takes a text or a number", flag.Name)
}

// check reads a value as kong will, whose own error would begin with a flag
// that nobody wrote.
func check(flag *kong.Flag, value any) error {
	if enum := flag.EnumSlice(); flag.Enum != "" && !slices.Contains(enum, fmt.Sprint(value)) {
		return fmt.Errorf("%q is none of %s", value, strings.Join(enum, ", "))
	}
	scratch := reflect.New(flag.Target.Type()).Elem()
	scan := kong.Scan().PushTyped(value, kong.FlagValueToken)
	err := flag.Mapper.Decode(&kong.DecodeContext{Value: flag.Value, Scan: scan}, scratch)
	if _, duration := scratch.Interface().(time.Duration); duration && err != nil {
		return fmt.Errorf("%q is no duration; write 1s or 500ms", value)
	}
	return err
}

// file is a TOML file as a source of settings, each value as a flag would have
// it and the sites as a list of SiteSpec.
type file map[string]any

// Validate has nothing left to do: Load has checked the keys.
func (file) Validate(*kong.Application) error { return nil }

// Resolve gives the file's value, unless the environment has one: kong asks
// resolvers even then.
func (f file) Resolve(_ *kong.Context, _ *kong.Path, flag *kong.Flag) (any, error) {
	for _, env := range flag.Envs {
		if _, ok := os.LookupEnv(env); ok {
			return nil, nil
		}
	}
	return f[flag.Name], nil // nil: not in the file
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
