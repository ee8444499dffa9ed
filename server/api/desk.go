package api

import (
	"context"
	"strings"

	"github.com/mxdesk/mxdesk/ticketing"
)

// NameRequest names a project, alias, domain, agent, held mail or queue entry.
type NameRequest struct {
	Name    string   `json:"name"`
	Project string   `json:"project,omitempty"`
	Aliases []string `json:"aliases,omitempty"`
	State   string   `json:"state,omitempty"`
	Limit   int      `json:"limit,omitempty"`
}

func (a *api) ensureKeys(ctx context.Context, addrs ...string) error {
	for _, addr := range addrs {
		domain := strings.ToLower(strings.TrimSpace(addr[strings.LastIndexByte(addr, '@')+1:]))
		if err := a.Keys.Ensure(ctx, strings.TrimSuffix(domain, ".")); err != nil {
			return err
		}
	}
	return nil
}

func (a *api) projectCreate(ctx context.Context, req NameRequest) ([]Done, error) {
	p, err := a.Desk.CreateProject(ctx, req.Name, req.Aliases)
	if err != nil {
		return nil, err
	}
	return []Done{{Project: p.Name, Message: "project " + p.Name + " created"}}, a.ensureKeys(ctx, req.Aliases...)
}

// SettingsRequest changes settings of a project or domain. What is absent
// stays.
type SettingsRequest struct {
	Name   string `json:"name"`
	Policy string `json:"policy,omitempty"` // enforce, hold, annotate or inherit
}

// policy reads the policy of a request that has to change something.
func (r SettingsRequest) policy() (ticketing.Policy, error) {
	if r.Policy == "" {
		return "", &ticketing.Error{Kind: ticketing.KindInvalid, Reason: "nothing-to-set", Message: "there is nothing to set"}
	}
	return ticketing.ParsePolicy(r.Policy)
}

func (a *api) projectSet(ctx context.Context, req SettingsRequest) ([]Done, error) {
	p, err := req.policy()
	if err != nil {
		return nil, err
	}
	if err := a.Desk.SetProjectPolicy(ctx, req.Name, p); err != nil {
		return nil, err
	}
	return []Done{{Project: req.Name, Message: "policy of project " + req.Name + ": " + p.String()}}, nil
}

func (a *api) domainSet(ctx context.Context, req SettingsRequest) ([]Done, error) {
	p, err := req.policy()
	if err != nil {
		return nil, err
	}
	if err := a.Desk.SetDomainPolicy(ctx, req.Name, p); err != nil {
		return nil, err
	}
	return []Done{{Domain: req.Name, Message: "policy of domain " + req.Name + ": " + p.String()}}, nil
}

// Project is one line of the project list.
type Project struct {
	ID      uint64   `json:"id"`
	Name    string   `json:"name"`
	Address string   `json:"address"`
	Aliases []string `json:"aliases"`
	Policy  string   `json:"policy"`
}

func (a *api) projectList(ctx context.Context, _ struct{}) ([]Project, error) {
	ps, err := a.Desk.Projects(ctx)
	if err != nil {
		return nil, err
	}
	as, err := a.Desk.Aliases(ctx)
	by := make(map[uint64][]string)
	for _, al := range as {
		by[al.Project] = append(by[al.Project], al.Address)
	}
	out := make([]Project, len(ps))
	for i, p := range ps {
		out[i] = Project{ID: p.ID, Name: p.Name, Address: p.Address, Aliases: list(by[p.ID]), Policy: p.Policy.String()}
	}
	return out, err
}

func (a *api) aliasAdd(ctx context.Context, req NameRequest) ([]Done, error) {
	if err := a.Desk.AddAlias(ctx, req.Project, req.Name); err != nil {
		return nil, err
	}
	return []Done{{Alias: req.Name, Project: req.Project, Message: req.Name + " leads to " + req.Project}}, a.ensureKeys(ctx, req.Name)
}

func (a *api) aliasRemove(ctx context.Context, req NameRequest) ([]Done, error) {
	if err := a.Desk.RemoveAlias(ctx, req.Name); err != nil {
		return nil, err
	}
	return []Done{{Alias: req.Name, Message: "alias " + req.Name + " removed"}}, nil
}

// Alias is one line of the alias list.
type Alias struct {
	Alias   string `json:"alias"`
	Project string `json:"project"`
}

func (a *api) aliasList(ctx context.Context, _ struct{}) ([]Alias, error) {
	ps, err := a.Desk.Projects(ctx)
	if err != nil {
		return nil, err
	}
	names := make(map[uint64]string)
	for _, p := range ps {
		names[p.ID] = p.Name
	}
	as, err := a.Desk.Aliases(ctx)
	out := make([]Alias, len(as))
	for i, al := range as {
		out[i] = Alias{Alias: al.Address, Project: names[al.Project]}
	}
	return out, err
}

func (a *api) domainAdd(ctx context.Context, req NameRequest) ([]Done, error) {
	d, err := a.Desk.AddDomain(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	return []Done{{Domain: d.Name, Message: "domain " + d.Name + " is served"}}, a.ensureKeys(ctx, d.Name)
}

func (a *api) domainRemove(ctx context.Context, req NameRequest) ([]Done, error) {
	if err := a.Desk.RemoveDomain(ctx, req.Name); err != nil {
		return nil, err
	}
	return []Done{{Domain: req.Name, Message: "domain " + req.Name + " is no longer served"}}, nil
}

// Domain is one line of the domain list.
type Domain struct {
	Domain   string `json:"domain"`
	CatchAll bool   `json:"catch_all"`
	Policy   string `json:"policy"`
}

func (a *api) domainList(ctx context.Context, _ struct{}) ([]Domain, error) {
	ds, err := a.Desk.Domains(ctx)
	out := make([]Domain, len(ds))
	for i, d := range ds {
		out[i] = Domain{Domain: d.Name, CatchAll: d.CatchAll, Policy: d.Policy.String()}
	}
	return out, err
}

// Record is a DNS record that a served domain wants published.
type Record struct {
	Domain string `json:"domain"`
	Name   string `json:"name"`
	Type   string `json:"type"`
	Value  string `json:"value"`
}

func (a *api) domainShow(ctx context.Context, req NameRequest) ([]Record, error) {
	d, err := a.Desk.Domain(ctx, req.Name)
	if err != nil {
		return nil, err
	}
	return a.records(ctx, d.Name)
}

// records lists what a domain is to publish: where its mail goes, who may send
// for it, and its keys.
func (a *api) records(ctx context.Context, domain string) ([]Record, error) {
	keys, err := a.Keys.Keys(ctx, domain)
	if err != nil {
		return nil, err
	}
	out := []Record{
		{Domain: domain, Name: domain, Type: "MX", Value: "10 " + a.Hostname + "."},
		{Domain: domain, Name: domain, Type: "TXT", Value: "v=spf1 mx -all"},
		{Domain: domain, Name: "_dmarc." + domain, Type: "TXT", Value: "v=DMARC1; p=reject"},
	}
	for _, k := range present(keys) {
		out = append(out, Record{Domain: domain, Name: k.Name(), Type: "TXT", Value: k.Record})
	}
	return out, nil
}
