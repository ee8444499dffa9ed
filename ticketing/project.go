package ticketing

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/mxdesk/mxdesk/ticketing/store"
)

// Domain is a mail domain that the desk serves.
type Domain struct {
	Name string `json:"name"`
	// Project takes postmaster@, abuse@ and, with CatchAll, every address that
	// nothing else takes. 0 = none yet: the first project does.
	Project  uint64 `json:"project"`
	CatchAll bool   `json:"catch_all"`
	// Policy is for projects that have none of their own.
	Policy    Policy    `json:"policy,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// Project owns tickets and the addresses that lead to it.
type Project struct {
	ID   uint64 `json:"id"`
	Name string `json:"name"`
	// Address is the alias that the project's mail is sent from, "" before the
	// first alias.
	Address   string    `json:"address"`
	Policy    Policy    `json:"policy,omitempty"`
	CreatedAt time.Time `json:"created_at"`
}

// Alias is an address that leads to a project.
type Alias struct {
	Address string `json:"address"`
	Project uint64 `json:"project"`
}

// projectNameRow finds a project by a name it has or had.
type projectNameRow struct {
	Project uint64 `json:"project"`
}

// AddDomain serves a domain. A domain that is served already is a KindConflict.
func (d *Desk) AddDomain(ctx context.Context, name string) (Domain, error) {
	name, err := parseDomain(name)
	if err != nil {
		return Domain{}, err
	}
	dom := Domain{Name: name, CreatedAt: d.now()}
	err = d.update(ctx, func(tx store.Tx) error {
		old, err := find[Domain](tx, domainKey(name))
		if err != nil {
			return err
		}
		if old != nil {
			return errorf(KindConflict, "domain-exists", "domain %s is served already", name)
		}
		return save(tx, domainKey(name), dom)
	})
	return dom, err
}

// RemoveDomain stops serving a domain. One that an alias still uses is a
// KindConflict.
func (d *Desk) RemoveDomain(ctx context.Context, name string) error {
	name, err := parseDomain(name)
	if err != nil {
		return err
	}
	return d.update(ctx, func(tx store.Tx) error {
		if _, err := mustFind[Domain](tx, domainKey(name), "domain", name); err != nil {
			return err
		}
		aliases, err := scan[Alias](tx, store.Prefix("alias"), false, 0)
		if err != nil {
			return err
		}
		for _, a := range aliases {
			if domainOf(a.Address) == name {
				return errorf(KindConflict, "domain-in-use", "alias %s still uses domain %s: remove it first", a.Address, name)
			}
		}
		return tx.Delete(domainKey(name))
	})
}

// Domain finds a served domain.
func (d *Desk) Domain(ctx context.Context, name string) (*Domain, error) {
	name, err := parseDomain(name)
	if err != nil {
		return nil, err
	}
	return view(ctx, d, func(r store.Reader) (*Domain, error) { return mustFind[Domain](r, domainKey(name), "domain", name) })
}

// Domains lists the served domains by name.
func (d *Desk) Domains(ctx context.Context) ([]*Domain, error) {
	return view(ctx, d, func(r store.Reader) ([]*Domain, error) {
		return scan[Domain](r, store.Prefix("domain"), false, 0)
	})
}

// reservedNames are local parts that no project may take.
var reservedNames = []string{bounceLocal, unsubscribeLocal, replyLocal, "postmaster", "abuse", "mailer-daemon"}

// CreateProject makes a project with its first aliases; an alias serves its
// domain. A name or alias that is taken is a KindConflict and nothing is made.
func (d *Desk) CreateProject(ctx context.Context, name string, aliases []string) (Project, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	if !namePattern.MatchString(name) {
		return Project{}, errorf(KindInvalid, "bad-name", "%q is no project name: use letters, digits, dot, dash and underscore, at most 63", name)
	}
	if slices.Contains(reservedNames, name) {
		return Project{}, errorf(KindInvalid, "reserved-name", "%q has a meaning of its own in addresses: choose another name", name)
	}
	now := d.now()
	var p Project
	err := d.update(ctx, func(tx store.Tx) error {
		old, err := find[projectNameRow](tx, projectName(name))
		if err != nil {
			return err
		}
		if old != nil {
			return errorf(KindConflict, "project-exists", "project %s exists already", name)
		}
		id, err := next(tx, projectSeqKey())
		if err != nil {
			return err
		}
		p = Project{ID: id, Name: name, CreatedAt: now}
		if err := save(tx, projectName(name), projectNameRow{Project: id}); err != nil {
			return err
		}
		for _, a := range aliases {
			if err := addAlias(tx, &p, a, now); err != nil {
				return err
			}
		}
		return save(tx, projectKey(id), p)
	})
	return p, err
}

// AddAlias leads an address to a project and serves its domain. An address
// that leads somewhere already is a KindConflict.
func (d *Desk) AddAlias(ctx context.Context, project, addr string) error {
	now := d.now()
	return d.update(ctx, func(tx store.Tx) error {
		p, err := projectByName(tx, project)
		if err != nil {
			return err
		}
		if err := addAlias(tx, p, addr, now); err != nil {
			return err
		}
		return save(tx, projectKey(p.ID), p)
	})
}

func addAlias(tx store.Tx, p *Project, addr string, now time.Time) error {
	local, domain, err := parseAlias(addr)
	if err != nil {
		return err
	}
	addr = local + "@" + domain
	old, err := find[Alias](tx, aliasKey(addr))
	if err != nil {
		return err
	}
	if old != nil {
		return errorf(KindConflict, "alias-exists", "alias %s exists already", addr)
	}
	served, err := find[Domain](tx, domainKey(domain))
	if err != nil {
		return err
	}
	if served == nil {
		served = &Domain{Name: domain, CreatedAt: now}
	}
	if served.Project == 0 {
		served.Project = p.ID
	}
	if p.Address == "" {
		p.Address = addr
	}
	if err := save(tx, domainKey(domain), served); err != nil {
		return err
	}
	if err := tx.Put(projectAlias(p.ID, addr), ref); err != nil {
		return err
	}
	return save(tx, aliasKey(addr), Alias{Address: addr, Project: p.ID})
}

// RemoveAlias makes an address unknown. Reply addresses of existing tickets
// keep working as long as the domain is served.
func (d *Desk) RemoveAlias(ctx context.Context, addr string) error {
	local, domain, err := parseAlias(addr)
	if err != nil {
		return err
	}
	addr = local + "@" + domain
	return d.update(ctx, func(tx store.Tx) error {
		a, err := mustFind[Alias](tx, aliasKey(addr), "alias", addr)
		if err != nil {
			return err
		}
		if err := tx.Delete(aliasKey(addr)); err != nil {
			return err
		}
		if err := tx.Delete(projectAlias(a.Project, addr)); err != nil {
			return err
		}
		p, err := load[Project](tx, projectKey(a.Project))
		if err != nil || p.Address != addr {
			return err
		}
		p.Address, err = firstAlias(tx, p.ID)
		if err != nil {
			return err
		}
		return save(tx, projectKey(p.ID), p)
	})
}

func firstAlias(r store.Reader, project uint64) (string, error) {
	for it, err := range r.Scan(store.Prefix("project.alias", project), false) {
		if err != nil {
			return "", err
		}
		return lastString(it.Key)
	}
	return "", nil
}

// Aliases lists the addresses that lead to projects, by address.
func (d *Desk) Aliases(ctx context.Context) ([]*Alias, error) {
	return view(ctx, d, func(r store.Reader) ([]*Alias, error) {
		return scan[Alias](r, store.Prefix("alias"), false, 0)
	})
}

// Projects lists the projects by name.
func (d *Desk) Projects(ctx context.Context) ([]*Project, error) {
	return view(ctx, d, func(r store.Reader) ([]*Project, error) {
		ps, err := scan[Project](r, store.Prefix("project"), false, 0)
		slices.SortFunc(ps, func(a, b *Project) int { return strings.Compare(a.Name, b.Name) })
		return ps, err
	})
}

func projectByName(r store.Reader, name string) (*Project, error) {
	name = strings.ToLower(strings.TrimSpace(name))
	row, err := mustFind[projectNameRow](r, projectName(name), "project", name)
	if err != nil {
		return nil, err
	}
	return load[Project](r, projectKey(row.Project))
}

// mustFind reads a value that a person named; KindNotFound if there is none.
func mustFind[T any](r store.Reader, k store.Key, what, name string) (*T, error) {
	v, err := find[T](r, k)
	if err == nil && v == nil {
		return nil, errorf(KindNotFound, strings.ReplaceAll(what, " ", "-")+"-not-found", "there is no %s %s", what, name)
	}
	return v, err
}
