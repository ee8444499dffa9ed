package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"

	"github.com/mxdesk/mxdesk/server/api"
	"github.com/mxdesk/mxdesk/ticketing"
)

// call asks the running server and gives each JSON line of the answer to each.
func (e *Env) call(name string, req any, each func(line []byte) error) error {
	cfg, err := e.settings()
	if err != nil {
		return err
	}
	dir := filepath.Join(cfg.Data, "run")
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(context.Context, string, string) (net.Conn, error) { return api.Dial(dir) },
	}}
	defer client.CloseIdleConnections()
	body, err := json.Marshal(req)
	if err != nil {
		return err
	}
	r, err := http.NewRequestWithContext(e.Ctx, http.MethodPost, "http://mxdesk/"+name, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := client.Do(r)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
		return exitf(exitNoDesk, "no server is running on %s: start one with \"mxdesk serve\", or name its folder with --data%s", cfg.Data, e.elsewhere())
	}
	if errors.Is(err, os.ErrPermission) {
		return exitf(exitIO, "the server on %s belongs to another user: run this as that user or as root", cfg.Data)
	}
	if err != nil {
		return exitf(exitIO, "admin socket of %s: %w", cfg.Data, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return refused(resp)
	}
	return lines(resp.Body, each)
}

func refused(resp *http.Response) error {
	var f api.Failure
	if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&f); err != nil {
		return exitf(exitIO, "the server answered %s", resp.Status)
	}
	code := exitRefused
	if resp.StatusCode == api.Status(ticketing.KindInvalid) || resp.StatusCode == api.Status(ticketing.KindTooLarge) {
		code = exitUsage
	}
	return said(code, f)
}

// said is the error of a call that the server refused.
func said(code int, f api.Failure) error {
	return &exitError{code: code, reason: f.Reason, err: errors.New(f.Message)}
}

func lines(r io.Reader, each func([]byte) error) error {
	br := bufio.NewReader(r)
	for {
		line, err := br.ReadBytes('\n')
		if len(line) > 0 {
			if err := each(line); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return exitf(exitIO, "the answer of the server: %w", err)
		}
	}
}

// ask is call for one kind of value: with --json the lines are passed through,
// else they are decoded and given to show together.
func ask[T any](e *Env, name string, req any, show func([]T) error) error {
	var values []T
	err := e.call(name, req, func(line []byte) error {
		if e.Global.JSON {
			_, err := e.Stdout.Write(line)
			return err
		}
		var v T
		if err := json.Unmarshal(line, &v); err != nil {
			return fmt.Errorf("the answer of the server: %w", err)
		}
		values = append(values, v)
		return nil
	})
	if err != nil || e.Global.JSON {
		return err
	}
	return show(values)
}

// done runs a call that changes something and says so.
func (e *Env) done(name string, req any) error {
	return ask(e, name, req, func(ds []api.Done) error {
		for _, d := range ds {
			fmt.Fprintln(e.Stdout, clean(d.Message))
		}
		return nil
	})
}
