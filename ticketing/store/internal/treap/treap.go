// Package treap is an immutable ordered map: a change returns a new map that
// shares all but the changed path with the old one. A savepoint or a snapshot
// is therefore a copy of the root.
package treap

import (
	"iter"
	"math/rand/v2"
)

// Map maps strings, in the order of their bytes, to byte slices. The zero Map
// is empty. Maps are values: safe to copy, and to read from many goroutines.
type Map struct {
	root  *node
	size  int
	owner *owner // of the nodes that may be changed in place
}

// owner is whose nodes may be changed; only its address counts.
type owner struct{ _ byte }

// Own returns the map for a series of changes of which only the last result is
// wanted: Put may change what the earlier ones of the series have made, and
// Scan is not to be used across them. Maps from before stay as they are.
func (m Map) Own() Map {
	m.owner = new(owner)
	return m
}

// edit returns a node to be changed: a copy, unless it is our own.
func (m Map) edit(n *node) *node {
	if m.owner != nil && n.owner == m.owner {
		return n
	}
	c := *n
	c.owner = m.owner
	return &c
}

// node is one entry. Priorities are random and form a heap, which keeps the
// tree balanced whatever keys the outside world chooses.
type node struct {
	key         string
	value       []byte
	priority    uint32
	owner       *owner
	left, right *node
}

// Len returns the number of entries.
func (m Map) Len() int { return m.size }

// Get returns the value of a key.
func (m Map) Get(key string) (value []byte, ok bool) {
	for n := m.root; n != nil; {
		switch {
		case key < n.key:
			n = n.left
		case key > n.key:
			n = n.right
		default:
			return n.value, true
		}
	}
	return nil, false
}

// Put returns the map with key set to value, which may be nil.
func (m Map) Put(key string, value []byte) Map {
	_, found := m.Get(key)
	if !found {
		m.size++
		m.root = m.insert(m.root, &node{key: key, value: value, priority: rand.Uint32(), owner: m.owner})
		return m
	}
	m.root = m.replace(m.root, key, value)
	return m
}

// Delete returns the map without key.
func (m Map) Delete(key string) Map {
	if _, found := m.Get(key); !found {
		return m
	}
	m.size--
	m.root = remove(m.root, key)
	return m
}

func (m Map) replace(n *node, key string, value []byte) *node {
	n = m.edit(n)
	switch {
	case key < n.key:
		n.left = m.replace(n.left, key, value)
	case key > n.key:
		n.right = m.replace(n.right, key, value)
	default:
		n.value = value
	}
	return n
}

func (m Map) insert(n, add *node) *node {
	if n == nil {
		return add
	}
	if add.priority > n.priority {
		add.left, add.right = m.split(n, add.key)
		return add
	}
	n = m.edit(n)
	if add.key < n.key {
		n.left = m.insert(n.left, add)
	} else {
		n.right = m.insert(n.right, add)
	}
	return n
}

// split parts a tree that does not hold key.
func (m Map) split(n *node, key string) (less, more *node) {
	if n == nil {
		return nil, nil
	}
	n = m.edit(n)
	if key < n.key {
		less, n.left = m.split(n.left, key)
		return less, n
	}
	n.right, more = m.split(n.right, key)
	return n, more
}

func remove(n *node, key string) *node {
	c := *n
	switch {
	case key < n.key:
		c.left = remove(n.left, key)
	case key > n.key:
		c.right = remove(n.right, key)
	default:
		return merge(n.left, n.right)
	}
	return &c
}

// merge joins two trees, all keys of the first before those of the second.
func merge(a, b *node) *node {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	if a.priority > b.priority {
		c := *a
		c.right = merge(a.right, b)
		return &c
	}
	c := *b
	c.left = merge(a, b.left)
	return &c
}

// Cursor walks the entries of a range.
type Cursor struct {
	start, end string
	reverse    bool
	path       []*node // entries still to visit; their far sides come after them
}

// Scan returns a cursor for the keys in [start, end), an empty end being the
// end of the map, in order or in reverse.
func (m Map) Scan(start, end string, reverse bool) *Cursor {
	c := &Cursor{start: start, end: end, reverse: reverse}
	c.descend(m.root)
	return c
}

// descend pushes the way to the first entry of the range in a subtree.
func (c *Cursor) descend(n *node) {
	for n != nil {
		below := n.key < c.start
		above := c.end != "" && n.key >= c.end
		if !below && !above {
			c.path = append(c.path, n)
		}
		if above || !below && !c.reverse {
			n = n.left
		} else {
			n = n.right
		}
	}
}

// Peek returns the entry that the cursor stands on; ok is false at the end.
func (c *Cursor) Peek() (key string, value []byte, ok bool) {
	if len(c.path) == 0 {
		return "", nil, false
	}
	n := c.path[len(c.path)-1]
	return n.key, n.value, true
}

// Next moves on to the next entry.
func (c *Cursor) Next() {
	n := c.path[len(c.path)-1]
	c.path = c.path[:len(c.path)-1]
	if c.reverse {
		c.descend(n.left)
	} else {
		c.descend(n.right)
	}
}

// All yields the rest of the entries.
func (c *Cursor) All() iter.Seq2[string, []byte] {
	return func(yield func(string, []byte) bool) {
		for {
			key, value, ok := c.Peek()
			if !ok || !yield(key, value) {
				return
			}
			c.Next()
		}
	}
}
