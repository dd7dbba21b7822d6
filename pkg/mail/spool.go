package mail

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	netmail "net/mail"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

	"runtests/pkg/regular"
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

// maxSpoolFile is the size of the largest file that is read from a spool, in bytes.
const maxSpoolFile = 64 << 20

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

// spoolName is the name of a message's file: the Date, so that names sort by age, and a
// digest of the Message-ID, so that a message has only one file.
var spoolName = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}\.[0-9]{9}Z-[0-9a-f]{16}\.mail$`)

const spoolTime = "20060102T150405.000000000Z"

// entry is the first line of a message's file.
type entry struct {
	Version int       `json:"version"`
	ID      string    `json:"id"`
	Date    time.Time `json:"date"`
	From    string    `json:"from"`
	To      []string  `json:"to"`
	Size    int       `json:"size"`   // of the message that follows, in bytes
	SHA256  string    `json:"sha256"` // of the message that follows
}

const spoolVersion = 1

// Add puts e into the spool. It replaces a message with the same Message-ID.
func (s Spool) Add(e Envelope) error {
	if err := e.check(); err != nil {
		return fmt.Errorf("spool mail: %w", err)
	}
	message, err := netmail.ReadMessage(bytes.NewReader(e.Data))
	if err != nil {
		return fmt.Errorf("spool mail: %w", withoutPrefix(err))
	}
	date, err := message.Header.Date()
	if err != nil {
		return fmt.Errorf("spool mail: %w", withoutPrefix(err))
	}
	if err := s.makeDir(); err != nil {
		return fmt.Errorf("spool mail: %w", err)
	}
	names, err := s.names()
	if err != nil {
		return fmt.Errorf("spool mail: %w", err)
	}
	name := date.UTC().Format(spoolTime) + spoolSuffix(e.ID)
	if len(names) >= MaxSpooled && !slices.Contains(names, name) {
		return &hintError{
			text: fmt.Sprintf("spool mail: %d messages wait in %s already", len(names), s.Dir),
			hint: "run `runtests check` to see why the mail server accepts no message, or remove files from the spool",
		}
	}
	if err := s.write(filepath.Join(s.Dir, name), e, date); err != nil {
		return fmt.Errorf("spool mail: %w", err)
	}
	return nil
}

// Remove removes e from the spool, if it is there.
func (s Spool) Remove(e Envelope) error {
	names, err := s.names()
	if err != nil {
		return fmt.Errorf("remove mail from the spool: %w", err)
	}
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

// spoolSuffix returns the end of the name of a message's file.
func spoolSuffix(id string) string {
	digest := sha256.Sum256([]byte(id))
	return "-" + hex.EncodeToString(digest[:8]) + ".mail"
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
		list = append(list, s.read(name))
	}
	return list, nil
}

// Flush sends the waiting messages with send (Server.Send), oldest first. When the server
// cannot be reached, the remaining messages wait for the next Flush; a message that is
// refused delays no other. The error is set when the spool itself fails: Flush then
// stops, because it would send the same messages again.
func (s Spool) Flush(ctx context.Context, send func(context.Context, Envelope) (Delivery, error)) (Flushed, error) {
	var f Flushed
	names, err := s.names()
	if err != nil {
		return f, fmt.Errorf("send spooled mail: %w", err)
	}
	if len(names) == 0 {
		return f, nil
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return f, fmt.Errorf("send spooled mail: %w", err)
	}
	defer unlock()
	list, err := s.List() // under the lock: another process may have sent some
	if err != nil {
		return f, err
	}
	var unreachable error
	for _, m := range list {
		if unreachable == nil {
			unreachable, err = s.flush(ctx, m, send, &f)
		} else {
			f.Kept = append(f.Kept, Fault{m.Path, unreachable})
		}
		if err != nil {
			return f, fmt.Errorf("send spooled mail: %w", err)
		}
	}
	return f, nil
}

// flush sends one message. The error unreachable is set when the server is, so that the
// other messages need not be tried; err is set when the spool cannot be updated.
func (s Spool) flush(ctx context.Context, m Spooled, send func(context.Context, Envelope) (Delivery, error), f *Flushed) (unreachable, err error) {
	if m.Err != nil {
		return nil, s.setAside(m.Path, m.Err, f)
	}
	d, cause := send(ctx, m.Envelope)
	pending := d.Pending()
	switch {
	case len(d.Accepted) > 0:
		f.Sent = append(f.Sent, m)
		f.Refused = append(f.Refused, permanent(d)...)
		if len(pending) == 0 {
			return nil, s.remove(m.Path)
		}
		f.Kept = append(f.Kept, Fault{m.Path, firstPending(d)})
		return nil, s.write(m.Path, m.Only(pending), m.Date)
	case Temporary(cause):
		f.Kept = append(f.Kept, Fault{m.Path, cause})
		if serverUnreachable(cause) {
			return cause, nil
		}
		return nil, nil
	}
	return nil, s.setAside(m.Path, cause, f)
}

// permanent returns the permanent refusals of d.
func permanent(d Delivery) []Refusal {
	var list []Refusal
	for _, r := range d.Refused {
		if !Temporary(r.Err) {
			list = append(list, r)
		}
	}
	return list
}

// serverUnreachable reports whether err concerns the server rather than one message.
func serverUnreachable(err error) bool {
	var e *Error
	return !errors.As(err, &e) || e.Code == 0 || e.Code == 421
}

// setAside renames a file so that it is not tried again.
func (s Spool) setAside(path string, cause error, f *Flushed) error {
	bad := path + ".bad"
	if err := os.Rename(path, bad); err != nil {
		return err
	}
	f.Aside = append(f.Aside, Fault{bad, cause})
	return s.sync()
}

func (s Spool) remove(path string) error {
	if err := os.Remove(path); err != nil {
		return err
	}
	return s.sync()
}

// write replaces the file of e atomically.
func (s Spool) write(path string, e Envelope, date time.Time) error {
	digest := sha256.Sum256(e.Data)
	first, err := json.Marshal(entry{
		Version: spoolVersion, ID: e.ID, Date: date, From: e.From, To: e.To,
		Size: len(e.Data), SHA256: hex.EncodeToString(digest[:]),
	})
	if err != nil {
		return err
	}
	content := append(append(first, '\n'), e.Data...)
	if err := renameio.WriteFile(path, content, 0o600, renameio.WithTempDir(s.Dir), renameio.WithStaticPermissions(0o600)); err != nil {
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

// read reads one message; on failure only Path and Err are set.
func (s Spool) read(name string) Spooled {
	path := filepath.Join(s.Dir, name)
	m, err := readSpooled(path)
	if err != nil {
		return Spooled{Path: path, Err: err}
	}
	m.Path = path
	return m
}

func readSpooled(path string) (Spooled, error) {
	if !spoolName.MatchString(filepath.Base(path)) {
		return Spooled{}, errors.New("not a file name of the spool")
	}
	file, err := regular.OpenNoFollow(path)
	if err != nil {
		return Spooled{}, err
	}
	defer file.Close()
	if info, err := file.Stat(); err != nil || info.Size() > maxSpoolFile {
		return Spooled{}, errors.Join(err, fmt.Errorf("larger than %d MiB", maxSpoolFile>>20))
	}
	return parseSpooled(file)
}

// parseSpooled parses a file that write has written, and rejects any other.
func parseSpooled(r io.Reader) (Spooled, error) {
	buffered := bufio.NewReader(io.LimitReader(r, maxSpoolFile))
	line, err := buffered.ReadBytes('\n')
	if err != nil {
		return Spooled{}, errors.New("first line truncated")
	}
	var first entry
	if err := json.Unmarshal(line, &first); err != nil {
		return Spooled{}, fmt.Errorf("parse first line: %w", err)
	}
	if first.Version != spoolVersion {
		return Spooled{}, fmt.Errorf("written by another version of runtests (format %d)", first.Version)
	}
	data, err := io.ReadAll(buffered)
	if err != nil {
		return Spooled{}, err
	}
	if digest := sha256.Sum256(data); len(data) != first.Size || hex.EncodeToString(digest[:]) != first.SHA256 {
		return Spooled{}, fmt.Errorf("truncated or changed: %d bytes of %d", len(data), first.Size)
	}
	e := Envelope{ID: first.ID, From: first.From, To: first.To, Data: data}
	if err := e.check(); err != nil {
		return Spooled{}, err
	}
	message, err := netmail.ReadMessage(bytes.NewReader(data))
	if err != nil {
		return Spooled{}, withoutPrefix(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil {
		return Spooled{}, err
	}
	return Spooled{Date: first.Date, Subject: headerText(subject, maxSubject), Envelope: e}, nil
}
