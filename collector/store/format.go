package store

import "strings"

// A layout is how a format is made of rows that the server has printed one by
// one: what stands before them, and between.
type layout struct {
	row   string // the format in which a row is printed
	names bool   // a row of names before them
	types bool   // then one of types
	comma bool   // a comma between rows, as in Values

	columns chan<- []column // who wants to know them instead of a header
}

// layouts are the formats that need no converter.
var layouts = func() map[string]layout {
	m := map[string]layout{
		"jsoneachrow":               {row: "JSONEachRow"},
		"jsonstringseachrow":        {row: "JSONStringsEachRow"},
		"jsoncompactstringseachrow": {row: "JSONCompactStringsEachRow"},
		"values":                    {row: "Values", comma: true},
		"tskv":                      {row: "TSKV"},
		"rowbinary":                 {row: "RowBinary"},
	}
	for _, f := range []struct{ name, also string }{
		{"TabSeparated", "TSV"}, {"TabSeparatedRaw", "TSVRaw"}, {"CSV", ""}, {"JSONCompactEachRow", ""},
	} {
		for _, name := range []string{f.name, f.also} {
			if name != "" {
				m[strings.ToLower(name)] = layout{row: f.name}
				m[strings.ToLower(name+"WithNames")] = layout{row: f.name, names: true}
				m[strings.ToLower(name+"WithNamesAndTypes")] = layout{row: f.name, names: true, types: true}
			}
		}
	}
	m["jsonlines"], m["ndjson"] = m["jsoneachrow"], m["jsoneachrow"]
	m["raw"] = m["tsvraw"]
	return m
}()

const defaultFormat = "TSVWithNames"
