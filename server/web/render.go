package web

import (
	"bytes"
	"embed"
	"html/template"
	"io/fs"
	"net/http"

	"github.com/mxdesk/mxdesk/ticketing"
)

//go:embed templates
var templateFiles embed.FS

// page is what a template is executed with: one struct for each.
type page interface {
	view() string // file name of the template
}

// frame is what every page has.
type frame struct {
	Title   string
	Style   []string // addresses
	Script  string
	Icon    string
	Capture bool
	Me      *person // nil when nobody is signed in
	Rail    rail
}

func (s *site) frame(title string) frame {
	return frame{
		Title: title, Capture: s.o.Capture, Script: s.assets.url("app.js"), Icon: s.assets.url("icon.svg"),
		Style: []string{s.assets.url("tokens.css"), s.assets.url("app.css")},
	}
}

// shell is the frame of a signed-in agent's page.
func (s *site) shell(r *http.Request, title string, me *ticketing.Agent, f filter) (frame, error) {
	projects, err := s.desk.Projects(r.Context())
	if err != nil {
		return frame{}, err
	}
	p := personOf(ticketing.Person{Name: me.Name, Address: me.Email})
	out := s.frame(title)
	out.Me, out.Rail = &p, railFor(r.URL.Path, f, projects)
	return out, nil
}

// views are the parsed templates by file name.
type views map[string]*template.Template

// parseViews parses every page with the parts that all share. The files are in
// the program, so a mistake in one shows at start and panics.
func parseViews() views {
	pages, err := fs.Glob(templateFiles, "templates/pages/*.html")
	if err != nil {
		panic(err)
	}
	parts := template.Must(template.ParseFS(templateFiles, "templates/*.html"))
	v := make(views)
	for _, file := range pages {
		t := template.Must(template.Must(parts.Clone()).ParseFS(templateFiles, file))
		v[file[len("templates/pages/"):]] = t
	}
	return v
}

// render executes a page into memory and only then begins the answer, so that
// nobody gets half a page.
func (s *site) render(w http.ResponseWriter, r *http.Request, status int, p page) {
	var b bytes.Buffer
	if err := s.views[p.view()].ExecuteTemplate(&b, "layout", p); err != nil {
		s.o.Log.Error("page", "view", p.view(), "error", err)
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if _, err := b.WriteTo(w); err != nil {
		s.o.Log.Debug("page not delivered", "route", r.Pattern, "error", err)
	}
}
