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
)

// Spool keeps messages that could not be delivered until a later run delivers them.
//
// It is a directory (0700) with one file (0600) per message, written whole or not at
// all: a line of JSON, then the message as it is to be sent, its Message-ID and its
// Date therefore the original ones. A file is removed right after the server took
// its message; a machine that dies between the two sends it twice, under the same
// Message-ID.
//
// Nothing is thrown away. A file that is not what Add wrote, and a message that the
// server refuses for good, are renamed to NAME.bad, said so once, and left to a
// person; when MaxSpooled messages wait, Add fails. Files under other names are
// nobody's business here.
type Spool struct {
	Dir string
}

// MaxSpooled is how many messages a spool holds: months of a nightly run.
const MaxSpooled = 100

// maxSpoolFile bounds what is read of a file in the spool, in bytes.
const maxSpoolFile = 64 << 20

// Spooled is a message that waits.
type Spooled struct {
	Path    string
	Date    time.Time // of the message
	Subject string
	Err     error // why it cannot be read; the other fields but Path are then empty
	Envelope
}

// Fault is a message that stays, and why.
type Fault struct {
	Path string
	Err  error
}

// Flushed is what Flush did.
type Flushed struct {
	Sent    []Spooled // taken by the server for at least one recipient
	Refused []Refusal // recipients of those who will never get it
	Kept    []Fault   // for the next time
	Aside   []Fault   // renamed to Path: broken, or refused for good
}

// spoolName is the name of a message's file: when it was written, so that names sort
// by age, and a digest of its Message-ID, so that it is there only once.
var spoolName = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}\.[0-9]{9}Z-[0-9a-f]{16}\.mail$`)

const spoolTime = "20060102T150405.000000000Z"

// entry is the first line of a file.
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

// Add puts e into the spool, for the recipients it has. A message that is there
// already, by its Message-ID, is replaced.
func (s Spool) Add(e Envelope) error {
	if err := e.check(); err != nil {
		return fmt.Errorf("spool a mail: %w", err)
	}
	message, err := netmail.ReadMessage(bytes.NewReader(e.Data))
	if err != nil {
		return fmt.Errorf("spool a mail: %w", bare(err))
	}
	date, err := message.Header.Date()
	if err != nil {
		return fmt.Errorf("spool a mail: %w", bare(err))
	}
	if err := s.makeDir(); err != nil {
		return fmt.Errorf("spool a mail: %w", err)
	}
	names, err := s.names()
	if err != nil {
		return fmt.Errorf("spool a mail: %w", err)
	}
	name := date.UTC().Format(spoolTime) + spoolSuffix(e.ID)
	if len(names) >= MaxSpooled && !slices.Contains(names, name) {
		return &configError{
			text: fmt.Sprintf("spool a mail: %d messages wait in %s already", len(names), s.Dir),
			hint: "find out with `runtests check` why the mail server takes none, or remove files there",
		}
	}
	if err := s.write(filepath.Join(s.Dir, name), e, date); err != nil {
		return fmt.Errorf("spool a mail: %w", err)
	}
	return nil
}

// Remove takes e out of the spool, for it was delivered or will never be. It need not be there.
func (s Spool) Remove(e Envelope) error {
	names, err := s.names()
	if err != nil {
		return fmt.Errorf("remove a mail from the spool: %w", err)
	}
	for _, name := range names {
		if strings.HasSuffix(name, spoolSuffix(e.ID)) {
			err = errors.Join(err, s.remove(filepath.Join(s.Dir, name)))
		}
	}
	if err != nil {
		return fmt.Errorf("remove a mail from the spool: %w", err)
	}
	return nil
}

// spoolSuffix is the end of the name of a message's file.
func spoolSuffix(id string) string {
	digest := sha256.Sum256([]byte(id))
	return "-" + hex.EncodeToString(digest[:8]) + ".mail"
}

// List returns what waits, oldest first, what cannot be read included. A spool that
// does not exist is empty.
func (s Spool) List() ([]Spooled, error) {
	names, err := s.names()
	if err != nil {
		return nil, fmt.Errorf("list the mail spool: %w", err)
	}
	var list []Spooled
	for _, name := range names {
		list = append(list, s.read(name))
	}
	return list, nil
}

// Flush sends what waits, oldest first, by send, which is Server.Send or the like.
// When the server cannot be reached, what remains waits for the next time; a message
// that alone is refused does not hold up the others. The error is set when the spool
// itself is the trouble: nothing more is sent then, since it might be sent again.
func (s Spool) Flush(ctx context.Context, send func(context.Context, Envelope) (Delivery, error)) (Flushed, error) {
	var f Flushed
	names, err := s.names()
	if err != nil {
		return f, fmt.Errorf("send the mail spool: %w", err)
	}
	if len(names) == 0 {
		return f, nil
	}
	unlock, err := s.lock(ctx)
	if err != nil {
		return f, fmt.Errorf("send the mail spool: %w", err)
	}
	defer unlock()
	list, err := s.List() // again: another process may have sent some
	if err != nil {
		return f, err
	}
	var away error
	for _, m := range list {
		if away == nil {
			away, err = s.flush(ctx, m, send, &f)
		} else {
			f.Kept = append(f.Kept, Fault{m.Path, away})
		}
		if err != nil {
			return f, fmt.Errorf("send the mail spool: %w", err)
		}
	}
	return f, nil
}

// flush sends one message. Away is set when the server is, so that the others need
// not be tried; err when the spool cannot be kept right.
func (s Spool) flush(ctx context.Context, m Spooled, send func(context.Context, Envelope) (Delivery, error), f *Flushed) (away, err error) {
	if m.Err != nil {
		return nil, s.aside(m.Path, m.Err, f)
	}
	d, cause := send(ctx, m.Envelope)
	pending := d.Pending()
	switch {
	case len(d.Accepted) > 0:
		f.Sent = append(f.Sent, m)
		f.Refused = append(f.Refused, lost(d)...)
		if len(pending) == 0 {
			return nil, s.remove(m.Path)
		}
		f.Kept = append(f.Kept, Fault{m.Path, firstPending(d)})
		return nil, s.write(m.Path, m.Only(pending), m.Date)
	case Temporary(cause):
		f.Kept = append(f.Kept, Fault{m.Path, cause})
		if serverAway(cause) {
			return cause, nil
		}
		return nil, nil
	}
	return nil, s.aside(m.Path, cause, f)
}

// lost are the refused recipients for whom it will not go better.
func lost(d Delivery) []Refusal {
	var list []Refusal
	for _, r := range d.Refused {
		if !Temporary(r.Err) {
			list = append(list, r)
		}
	}
	return list
}

// serverAway tells a server that cannot be talked to from one that refuses a message.
func serverAway(err error) bool {
	var e *Error
	return !errors.As(err, &e) || e.Code == 0 || e.Code == 421
}

// aside renames a file so that it is not tried again.
func (s Spool) aside(path string, cause error, f *Flushed) error {
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

// write replaces the file of e whole.
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

// sync makes a rename or a removal last: renameio syncs the file, not its directory.
func (s Spool) sync() error {
	dir, err := os.Open(s.Dir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	return dir.Sync()
}

// makeDir makes the directory if need be.
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

// lock lets one process at a time send. Add needs none: it only ever adds a file,
// whole.
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

// names are the files of messages, oldest first.
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

// read reads one message; what is wrong with it is in its Err.
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
		return Spooled{}, errors.New("not a name that runtests gives")
	}
	// NONBLOCK: opening a pipe must not wait for its writer.
	file, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return Spooled{}, err
	}
	defer func() { _ = file.Close() }() // it was only read
	info, err := file.Stat()
	if err != nil {
		return Spooled{}, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSpoolFile {
		return Spooled{}, fmt.Errorf("not a regular file of at most %d bytes", maxSpoolFile)
	}
	return parseSpooled(file)
}

// parseSpooled reads what write wrote, and nothing else.
func parseSpooled(r io.Reader) (Spooled, error) {
	buffered := bufio.NewReader(io.LimitReader(r, maxSpoolFile))
	line, err := buffered.ReadBytes('\n')
	if err != nil {
		return Spooled{}, errors.New("truncated in its first line")
	}
	var first entry
	if err := json.Unmarshal(line, &first); err != nil {
		return Spooled{}, fmt.Errorf("its first line: %w", err)
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
		return Spooled{}, bare(err)
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(message.Header.Get("Subject"))
	if err != nil {
		return Spooled{}, err
	}
	return Spooled{Date: first.Date, Subject: headerText(subject, maxSubject), Envelope: e}, nil
}
