package mail

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"path/filepath"
	"regexp"
	"time"

	"github.com/google/renameio/v2"

	"runtests/pkg/regular"
)

// maxSpoolFile is the size of the largest file that is read from a spool, in bytes.
const maxSpoolFile = 64 << 20

// spoolFile matches the name of a message's file: the Date, so that names sort by age, and
// a digest of the Message-ID, so that a message has only one file.
var spoolFile = regexp.MustCompile(`^[0-9]{8}T[0-9]{6}\.[0-9]{9}Z-[0-9a-f]{16}\.mail$`)

// spoolName returns the name of a message's file.
func spoolName(id string, date time.Time) string {
	return date.UTC().Format("20060102T150405.000000000Z") + spoolSuffix(id)
}

// spoolSuffix returns the part of the name that depends on the Message-ID alone.
func spoolSuffix(id string) string { return "-" + digest([]byte(id))[:16] + ".mail" }

// digest returns the SHA-256 of data in hexadecimal.
func digest(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

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

// write replaces the file of e atomically.
func (s Spool) write(path string, e Envelope, date time.Time) error {
	first, err := json.Marshal(entry{
		Version: spoolVersion, ID: e.ID, Date: date, From: e.From, To: e.To, Size: len(e.Data), SHA256: digest(e.Data),
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

// readSpooled reads one message.
func readSpooled(path string) (Spooled, error) {
	if !spoolFile.MatchString(filepath.Base(path)) {
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
	if len(data) != first.Size || digest(data) != first.SHA256 {
		return Spooled{}, fmt.Errorf("truncated or changed: %d bytes of %d", len(data), first.Size)
	}
	e := Envelope{ID: first.ID, From: first.From, To: first.To, Data: data}
	header, err := e.readHeader()
	if err != nil {
		return Spooled{}, err
	}
	subject, err := new(mime.WordDecoder).DecodeHeader(header.Get("Subject"))
	if err != nil {
		return Spooled{}, err
	}
	return Spooled{Date: first.Date, Subject: headerText(subject, maxSubject), Envelope: e}, nil
}
