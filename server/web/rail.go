package web

import (
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

// rail is the way to every other page.
type rail struct {
	Groups []railGroup
}

type railGroup struct {
	Name  string
	Links []railLink
}

type railLink struct {
	Name    string
	Icon    string
	URL     string
	Current bool
}

// maxProjects bounds the projects that the rail names.
const maxProjects = 100

func railFor(path string, f filter, projects []*ticketing.Project) rail {
	tickets := strings.HasPrefix(path, "/tickets")
	views := railGroup{Name: "Views"}
	for _, st := range []ticketing.State{ticketing.StateOpen, ticketing.StateWaiting, ticketing.StateClosed} {
		look := stateOf(st)
		to := filter{State: st, Project: f.Project}
		views.Links = append(views.Links, railLink{look.Word, look.Icon, to.url(), tickets && f.State == st})
	}
	views.Links = append(views.Links,
		railLink{"All", "all", filter{Project: f.Project}.url(), tickets && f.State == ""},
		railLink{"Held mail", "held", "/held", path == "/held"},
	)
	groups := []railGroup{views}
	if len(projects) > 1 {
		own := railGroup{Name: "Projects", Links: []railLink{{"All projects", "projects", filter{State: f.State}.url(), tickets && f.Project == ""}}}
		for _, p := range projects[:min(len(projects), maxProjects)] {
			own.Links = append(own.Links, railLink{p.Name, "project", filter{State: f.State, Project: p.Name}.url(), tickets && f.Project == p.Name})
		}
		groups = append(groups, own)
	}
	return rail{append(groups, railGroup{Name: "Operations", Links: []railLink{{"Journal", "journal", "/journal", path == "/journal"}}})}
}
