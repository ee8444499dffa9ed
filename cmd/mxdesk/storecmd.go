package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing/store"
)

// StoreCmd groups the commands on the store as a whole. They ask the running
// server; where none runs they open the store themselves.
type StoreCmd struct {
	Verify  StoreVerifyCmd  `cmd:"" help:"Check every key, index, reference and blob, and print the digest. Exit code 1 when something is wrong."`
	Stats   StoreStatsCmd   `cmd:"" help:"Count what the store holds."`
	Ls      StoreLsCmd      `cmd:"" help:"List keys in their order."`
	Dump    StoreDumpCmd    `cmd:"" help:"Write keys and values, one JSON object per line."`
	Compact StoreCompactCmd `cmd:"" help:"Give back the room of what is gone. Without a server it does more."`
}

// storeCall makes a call on the store and gives each value of the answer to
// each.
func storeCall(e *Env, name string, req any, bar *progress, each func(value json.RawMessage) error) error {
	cfg, err := e.settings()
	if err != nil {
		return err
	}
	server, err := e.reach(cfg)
	if err != nil {
		return err
	}
	body, err := json.Marshal(req)
	if err == nil {
		err = server.call(e, name, bytes.NewReader(body), func(answer io.Reader) error {
			return storeLines(answer, bar, each)
		})
	}
	bar.end()
	return errors.Join(err, server.close())
}

// storeLines reads the lines of an answer up to the one that ends it.
func storeLines(answer io.Reader, bar *progress, each func(json.RawMessage) error) error {
	for dec := json.NewDecoder(bufio.NewReader(answer)); ; {
		var l api.Line
		if err := dec.Decode(&l); err != nil {
			return exitf(exitIO, "the answer of the server was cut short: %w", err)
		}
		switch {
		case l.Failure != nil:
			return said(exitIO, *l.Failure)
		case l.Done:
			return nil
		case l.Progress != nil:
			bar.tell(l.Progress.Done, l.Progress.Of)
		default:
			if err := each(l.Value); err != nil {
				return err
			}
		}
	}
}

// storeValues is storeCall for values of one type: with --json they are passed
// through.
func storeValues[T any](e *Env, name string, req any, show func(T) error) error {
	out := bufio.NewWriter(e.Stdout)
	bar := e.progress(name)
	err := storeCall(e, name, req, bar, func(value json.RawMessage) error {
		if e.Global.JSON {
			_, err := out.Write(append(value, '\n'))
			return err
		}
		var v T
		if err := json.Unmarshal(value, &v); err != nil {
			return fmt.Errorf("the answer of the server: %w", err)
		}
		return show(v)
	})
	return errors.Join(err, out.Flush())
}

// StoreVerifyCmd checks everything.
type StoreVerifyCmd struct{}

// Run checks everything.
func (StoreVerifyCmd) Run(e *Env) error {
	wrong := -1
	out := bufio.NewWriter(e.Stdout)
	bar := e.progress("verify")
	err := storeCall(e, "store.verify", api.VerifyRequest{}, bar, func(value json.RawMessage) error {
		var v api.Verified
		if err := json.Unmarshal(value, &v); err != nil {
			return fmt.Errorf("the answer of the server: %w", err)
		}
		if v.Sum != nil {
			wrong = v.Sum.Wrong
		}
		if e.Global.JSON {
			_, err := out.Write(append(value, '\n'))
			return err
		}
		bar.end()
		return showVerified(out, v)
	})
	if err := errors.Join(err, out.Flush()); err != nil {
		return err
	}
	switch {
	case wrong < 0:
		return exitf(exitIO, "the server did not say what it found")
	case wrong > 0:
		return exitf(exitRefused, "%d things are wrong: stop the server, restore the latest good backup into a new folder, and keep this one for whoever looks into it", wrong)
	}
	return nil
}

func showVerified(w io.Writer, v api.Verified) error {
	if v.Sum == nil {
		_, err := fmt.Fprintf(w, "%s %s\n", clean(v.Key), clean(v.What))
		return err
	}
	s := v.Sum
	_, err := fmt.Fprintf(w, "%d keys, %d blobs (%s), change %d: %d wrong\ndigest   %s\n", s.Keys, s.Blobs, octets(s.BlobBytes), s.Change, s.Wrong, s.Digest)
	return err
}

// StoreStatsCmd counts what the store holds.
type StoreStatsCmd struct{}

// Run counts what the store holds.
func (StoreStatsCmd) Run(e *Env) error {
	return storeValues(e, "store.stats", struct{}{}, func(s api.Stats) error {
		rows := [][]string{{"KIND", "ROWS", "SIZE"}}
		for _, k := range s.Kinds {
			rows = append(rows, []string{cell(k.Kind, 40), strconv.FormatInt(k.Rows, 10), octets(k.Bytes)})
		}
		table(e.Stdout, rows)
		fmt.Fprintln(e.Stdout)
		table(e.Stdout, [][]string{
			{"blobs inline", strconv.FormatInt(s.Inline.Blobs, 10), octets(s.Inline.Bytes)},
			{"blobs in segments", strconv.FormatInt(s.Apart.Blobs, 10), octets(s.Apart.Bytes)},
			{"segments", strconv.Itoa(s.Space.Segments), octets(s.Space.Blobs)},
			{"tables", "", octets(s.Space.Tables)},
			{"free", "", fmt.Sprintf("%s of %s", octets(int64(s.Space.Free)), octets(int64(s.Space.Disk)))},
			{"newest change", strconv.FormatUint(s.Change, 10)},
		})
		return nil
	})
}

// StoreLsCmd lists keys.
type StoreLsCmd struct {
	Prefix string `arg:"" optional:"" help:"Only keys that begin with these elements, e.g. ticket/1."`
	After  string `help:"Begin behind this key, written as it is listed." placeholder:"KEY"`
	Limit  int    `help:"At most this many, 0 = all."`
}

// request asks for the rows that the flags name.
func (c StoreLsCmd) request(values bool) (api.RowsRequest, error) {
	for _, k := range []string{c.Prefix, c.After} {
		if _, err := store.ParseKey(k); err != nil {
			return api.RowsRequest{}, exitf(exitUsage, "%s is no key: %w", k, err)
		}
	}
	return api.RowsRequest{Prefix: c.Prefix, After: c.After, Limit: c.Limit, Values: values}, checkLimit(c.Limit)
}

// Run lists keys.
func (c StoreLsCmd) Run(e *Env) error {
	req, err := c.request(false)
	if err != nil {
		return err
	}
	out := bufio.NewWriter(e.Stdout)
	err = storeValues(e, "store.list", req, func(r api.StoreRow) error {
		_, err := fmt.Fprintln(out, clean(r.Key))
		return err
	})
	return errors.Join(err, out.Flush())
}

// StoreDumpCmd writes keys and values.
type StoreDumpCmd struct {
	StoreLsCmd
}

// Run writes keys and values.
func (c StoreDumpCmd) Run(e *Env) error {
	req, err := c.request(true)
	if err != nil {
		return err
	}
	e.Global.JSON = true
	return storeValues(e, "store.list", req, func(api.StoreRow) error { return nil })
}

// StoreCompactCmd gives room back.
type StoreCompactCmd struct{}

// Run gives room back.
func (StoreCompactCmd) Run(e *Env) error {
	return storeValues(e, "store.compact", struct{}{}, func(c api.Compacted) error {
		fmt.Fprintf(e.Stdout, "segments: %d emptied, %s moved, %s freed\n", c.Segments, octets(c.Moved), octets(c.Freed-c.Moved))
		if c.Damaged > 0 {
			fmt.Fprintf(e.Stdout, "%d segments were left alone, something in them is damaged: run mxdesk store verify\n", c.Damaged)
		}
		if !c.Merged {
			fmt.Fprintln(e.Stdout, "tables:   not while the server runs")
			return nil
		}
		fmt.Fprintf(e.Stdout, "tables:   %s freed\n", octets(max(c.Tables, 0)))
		return nil
	})
}
