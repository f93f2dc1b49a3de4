package api

import (
	_ "embed"
	"html/template"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
)

//go:embed docs.html
var docsPage string

var docsTemplate = template.Must(template.New("docs").Parse(docsPage))

// docs is a page that shows what /openapi.json says, for people.
func (a *API) docs(w http.ResponseWriter, _ *http.Request) {
	spec := a.root.OpenAPI()
	var calls []docsCall
	for path, item := range spec.Paths {
		for _, op := range []*huma.Operation{item.Get, item.Post, item.Put, item.Patch, item.Delete} {
			if op != nil {
				calls = append(calls, newDocsCall(spec, path, op))
			}
		}
	}
	slices.SortFunc(calls, func(x, y docsCall) int {
		return strings.Compare(x.Tag+x.Path+x.Method, y.Tag+y.Path+y.Method)
	})
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	docsTemplate.Execute(w, map[string]any{"Version": spec.Info.Version, "Calls": calls})
}

// docsCall is one call, as the page shows it.
type docsCall struct {
	Tag, Method, Path, Summary, Description string
	Parameters, Body                        []docsField
}

type docsField struct {
	Name, In, Type, Description string
	Required                    bool
}

func newDocsCall(spec *huma.OpenAPI, path string, op *huma.Operation) docsCall {
	c := docsCall{Method: op.Method, Path: path, Summary: op.Summary, Description: op.Description}
	if len(op.Tags) > 0 {
		c.Tag = op.Tags[0]
	}
	for _, p := range op.Parameters {
		c.Parameters = append(c.Parameters, docsField{p.Name, p.In, typeOf(p.Schema), p.Description, p.Required})
	}
	if op.RequestBody == nil || op.RequestBody.Content["application/json"] == nil {
		return c
	}
	schema := op.RequestBody.Content["application/json"].Schema
	if schema.Ref != "" {
		schema = spec.Components.Schemas.SchemaFromRef(schema.Ref)
	}
	for name, s := range schema.Properties {
		c.Body = append(c.Body, docsField{name, "body", typeOf(s), s.Description, slices.Contains(schema.Required, name)})
	}
	slices.SortFunc(c.Body, func(x, y docsField) int { return strings.Compare(x.Name, y.Name) })
	return c
}

func typeOf(s *huma.Schema) string {
	switch {
	case s == nil:
		return ""
	case s.Ref != "":
		return s.Ref[strings.LastIndexByte(s.Ref, '/')+1:]
	case s.Type == huma.TypeArray:
		return typeOf(s.Items) + "[]"
	case s.Type == "":
		return "any"
	}
	return s.Type
}
