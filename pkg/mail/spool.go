package mail

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"

	"runtests/pkg/hint"
)

// Spool keeps messages that could not be delivered, until a later run delivers them.
//
// It is a directory (0700) with one file (0600) per message, written whole or not at
// all: a line of JSON, then the message with its original Message-ID and Date. A file
// is removed right after the server accepted its message. A machine that dies between
// the two sends the message twice, under the same Message-ID.
//
// A Spool throws nothing away. A file that Add did not write, and a message that the
// server refuses permanently, are renamed to NAME.bad, reported once, and left for a
// person to look at. When MaxSpooled messages wait, Add fails. Files with other names
// are ignored.
type Spool struct {
	Dir string
}

// MaxSpooled is how many messages a spool accepts: the reports of three months.
const MaxSpooled = 100

// Spooled is a message that waits in a spool.
type Spooled struct {
	Path    string
	Date    time.Time // of the message
	Subject string
	Err     error // why the file cannot be read; then only Path is set
	Envelope
}

// Fault is a message that was not sent, and the reason.
type Fault struct {
	Path string
	Err  error
}

// Flushed is the result of Flush.
type Flushed struct {
	Sent    []Spooled // accepted by the server for at least one recipient
	Refused []Refusal // recipients of those messages who were refused permanently
	Kept    []Fault   // until the next Flush
	Aside   []Fault   // renamed to Path: unreadable, or refused permanently
}

// Add puts e into the spool. It replaces a message with the same Message-ID.
func (s Spool) Add(e Envelope) error {
	if err := s.add(e); err != nil {
		return fmt.Errorf("spool mail: %w", err)
	}
	return nil
}

func (s Spool) add(e Envelope) error {
	header, err := e.readHeader()
	if err != nil {
		return err
	}
	date, err := header.Date()
	if err != nil {
		return withoutPrefix(err)
	}
	if err := s.makeDir(); err != nil {
		return err
	}
	names, err := s.names()
	if err != nil {
		return err
	}
	name := spoolName(e.ID, date)
	if len(names) >= MaxSpooled && !slices.Contains(names, name) {
		return hint.Errorf("run `runtests check` to see why the mail server accepts no message, or remove files from the spool",
			"%d messages wait in %s already", len(names), s.Dir)
	}
	return s.write(filepath.Join(s.Dir, name), e, date)
}

// Remove removes e from the spool, if it is there.
func (s Spool) Remove(e Envelope) error {
	names, err := s.names()
	for _, name := range names {
		if strings.HasSuffix(name, spoolSuffix(e.ID)) {
			err = errors.Join(err, s.remove(filepath.Join(s.Dir, name)))
		}
	}
	if err != nil {
		return fmt.Errorf("remove mail from the spool: %w", err)
	}
	return nil
}

// List returns the waiting messages, oldest first, and the files that cannot be read. A
// spool that does not exist is empty.
func (s Spool) List() ([]Spooled, error) {
	names, err := s.names()
	if err != nil {
		return nil, fmt.Errorf("list mail spool: %w", err)
	}
	var list []Spooled
	for _, name := range names {
		path := filepath.Join(s.Dir, name)
		m, err := readSpooled(path)
		m.Path, m.Err = path, err
		list = append(list, m)
	}
	return list, nil
}

// Flush sends the waiting messages with send (Server.Send), oldest first. When the server
// cannot be reached, the remaining messages wait for the next Flush; a message that is
// refused delays no other. The error is set when the spool itself fails: Flush then
// stops, because it would send the same messages again.
func (s Spool) Flush(ctx context.Context, send func(context.Context, Envelope) (Delivery, error)) (Flushed, error) {
	f := flushing{Spool: s, send: send}
	if err := f.all(ctx); err != nil {
		return f.Flushed, fmt.Errorf("send spooled mail: %w", err)
	}
	return f.Flushed, nil
}

// flushing is a Flush under way.
type flushing struct {
	Spool
	Flushed
	send        func(context.Context, Envelope) (Delivery, error)
	unreachable error // why the remaining messages are not tried
}

// all sends the waiting messages.
func (f *flushing) all(ctx context.Context) error {
	if names, err := f.names(); err != nil || len(names) == 0 {
		return err
	}
	unlock, err := f.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	list, err := f.List() // under the lock: another process may have sent some
	if err != nil {
		return err
	}
	for _, m := range list {
		if err := f.one(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// one sends one message. The error is set when the spool cannot be updated.
func (f *flushing) one(ctx context.Context, m Spooled) error {
	switch {
	case f.unreachable != nil:
		f.keep(m, f.unreachable)
		return nil
	case m.Err != nil:
		return f.setAside(m, m.Err)
	}
	d, err := f.send(ctx, m.Envelope)
	switch {
	case len(d.Accepted) > 0:
		f.Sent = append(f.Sent, m)
		return f.update(m, d)
	case Temporary(err):
		f.keep(m, err)
		if serverUnreachable(err) {
			f.unreachable = err
		}
		return nil
	}
	return f.setAside(m, err)
}

// update removes a message that was delivered, or leaves it for the pending recipients.
func (f *flushing) update(m Spooled, d Delivery) error {
	for _, r := range d.Refused {
		if !Temporary(r.Err) {
			f.Refused = append(f.Refused, r)
		}
	}
	pending := d.Pending()
	if len(pending) == 0 {
		return f.remove(m.Path)
	}
	f.keep(m, firstPending(d))
	return f.write(m.Path, m.Only(pending), m.Date)
}

func (f *flushing) keep(m Spooled, cause error) { f.Kept = append(f.Kept, Fault{m.Path, cause}) }

// serverUnreachable reports whether err concerns the server rather than one message.
func serverUnreachable(err error) bool {
	var e *Error
	return !errors.As(err, &e) || e.Code == 0 || e.Code == 421
}

// setAside renames the file of a message so that it is not tried again.
func (f *flushing) setAside(m Spooled, cause error) error {
	bad := m.Path + ".bad"
	if err := os.Rename(m.Path, bad); err != nil {
		return err
	}
	f.Aside = append(f.Aside, Fault{bad, cause})
	return f.sync()
}

func (s Spool) remove(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return s.sync()
}

// sync makes a rename or a removal durable: renameio syncs the file, not its directory.
func (s Spool) sync() error {
	dir, err := os.Open(s.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}

// makeDir creates the directory if it does not exist.
func (s Spool) makeDir() error {
	if err := os.MkdirAll(s.Dir, 0o700); err != nil {
		return err
	}
	info, err := os.Lstat(s.Dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory", s.Dir)
	}
	return nil
}

// lock keeps other processes from sending at the same time. Add needs no lock: it writes
// a file atomically.
func (s Spool) lock(ctx context.Context) (unlock func(), err error) {
	if err := s.makeDir(); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(s.Dir, ".lock"), flock.SetFlag(os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW), flock.SetPermissions(0o600))
	if _, err := lock.TryLockContext(ctx, 100*time.Millisecond); err != nil {
		return nil, fmt.Errorf("lock %s: %w", s.Dir, err)
	}
	return func() { _ = lock.Close() }, nil
}

// names returns the names of the messages' files, oldest first.
func (s Spool) names() ([]string, error) {
	entries, err := os.ReadDir(s.Dir) // sorted by name
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if filepath.Ext(e.Name()) == ".mail" {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
