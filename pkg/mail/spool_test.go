package mail

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"runtests/pkg/mail/smtptest"
)

// nightly returns a report with the Date of that many days ago.
func nightly(t *testing.T, daysAgo int, to ...string) Envelope {
	t.Helper()
	m := report()
	m.ID = ""
	m.Date = morning.AddDate(0, 0, -daysAgo)
	m.Subject = fmt.Sprintf("%d days ago", daysAgo)
	if to != nil {
		m.To = to
	}
	e, err := m.Compose()
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func fill(t *testing.T, s Spool, mails ...Envelope) {
	t.Helper()
	for _, e := range mails {
		if err := s.Add(e); err != nil {
			t.Fatal(err)
		}
	}
}

func flush(t *testing.T, s Spool, server Server) Flushed {
	t.Helper()
	f, err := s.Flush(t.Context(), server.Send)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// waiting returns the subjects of the messages in the spool.
func waiting(t *testing.T, s Spool) []string {
	t.Helper()
	list, err := s.List()
	if err != nil {
		t.Fatal(err)
	}
	var subjects []string
	for _, m := range list {
		if m.Err != nil {
			t.Errorf("%s: %v", m.Path, m.Err)
		}
		subjects = append(subjects, m.Subject)
	}
	return subjects
}

func TestSpoolGoesOutOnceOldestFirst(t *testing.T) {
	spool := Spool{Dir: filepath.Join(t.TempDir(), "suite", "spool")}
	one, two, three := nightly(t, 1), nightly(t, 2), nightly(t, 3)
	fill(t, spool, two, one, three, one)
	if diff := cmp.Diff([]string{"3 days ago", "2 days ago", "1 days ago"}, waiting(t, spool)); diff != "" {
		t.Error(diff)
	}
	s := smtptest.Start(t, smtptest.Options{})
	f := flush(t, spool, serverFor(t, s))
	if len(f.Sent) != 3 || f.Kept != nil || f.Aside != nil || f.Refused != nil {
		t.Errorf("%+v", f)
	}
	var data [][]byte
	for _, m := range s.Messages() {
		data = append(data, m.Data)
	}
	if diff := cmp.Diff([][]byte{three.Data, two.Data, one.Data}, data); diff != "" {
		t.Errorf("not the original messages, oldest first:\n%s", diff)
	}
	if flush(t, spool, serverFor(t, s)); len(s.Messages()) != 3 || waiting(t, spool) != nil {
		t.Errorf("%d messages sent, %v wait", len(s.Messages()), waiting(t, spool))
	}
}

func TestSpoolIsPrivate(t *testing.T) {
	old := syscall.Umask(0)
	defer syscall.Umask(old)
	spool := Spool{Dir: filepath.Join(t.TempDir(), "spool")}
	fill(t, spool, nightly(t, 1))
	err := filepath.WalkDir(spool.Dir, func(path string, file os.DirEntry, err error) error {
		info, _ := file.Info()
		want := os.FileMode(0o600)
		if file.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s: %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSpoolKeepsMessagesWhileTheServerIsUnreachable(t *testing.T) {
	spool := Spool{Dir: t.TempDir()}
	fill(t, spool, nightly(t, 1), nightly(t, 2), nightly(t, 3))
	s := smtptest.Start(t, smtptest.Options{Banner: "421 busy"})
	f := flush(t, spool, serverFor(t, s))
	if len(f.Kept) != 3 || s.Connections() != 1 {
		t.Errorf("%+v, %d connections", f, s.Connections())
	}
	if got := waiting(t, spool); len(got) != 3 {
		t.Errorf("%v", got)
	}
}

func TestSpoolOneRefusedMessageDelaysNoOther(t *testing.T) {
	spool := Spool{Dir: t.TempDir()}
	fill(t, spool, nightly(t, 1, "a@example.org"), nightly(t, 2, "full@example.org"), nightly(t, 3, "gone@example.org"))
	s := smtptest.Start(t, smtptest.Options{RefuseRecipients: map[string]*smtptest.Reply{
		"full@example.org": {Code: 452, Message: "mailbox full"},
		"gone@example.org": {Code: 550, Message: "no such user"},
	}})
	f := flush(t, spool, serverFor(t, s))
	if len(f.Sent) != 1 || len(f.Kept) != 1 || len(f.Aside) != 1 || len(s.Messages()) != 1 {
		t.Errorf("%+v", f)
	}
	if _, err := os.Stat(f.Aside[0].Path); err != nil || !strings.HasSuffix(f.Aside[0].Path, ".mail.bad") {
		t.Errorf("refused permanently, and lost: %v", err)
	}
	if diff := cmp.Diff([]string{"2 days ago"}, waiting(t, spool)); diff != "" {
		t.Error(diff)
	}
}

func TestSpoolKeepsPendingRecipients(t *testing.T) {
	spool := Spool{Dir: t.TempDir()}
	e := nightly(t, 1, "a@example.org", "full@example.org", "gone@example.org")
	fill(t, spool, e)
	full := smtptest.Start(t, smtptest.Options{RefuseRecipients: map[string]*smtptest.Reply{
		"full@example.org": {Code: 452, Message: "mailbox full"},
		"gone@example.org": {Code: 550, Message: "no such user"},
	}})
	f := flush(t, spool, serverFor(t, full))
	if len(f.Sent) != 1 || len(f.Kept) != 1 || len(f.Refused) != 1 || f.Refused[0].Address != "gone@example.org" {
		t.Errorf("%+v", f)
	}
	healed := smtptest.Start(t, smtptest.Options{})
	flush(t, spool, serverFor(t, healed))
	want := []smtptest.Message{{Hello: "ci.example.org", From: e.From, To: []string{"full@example.org"}, Data: e.Data}}
	if diff := cmp.Diff(want, healed.Messages()); diff != "" {
		t.Error(diff)
	}
}

func TestSpoolSetsInvalidFilesAside(t *testing.T) {
	spool := Spool{Dir: t.TempDir()}
	good := nightly(t, 1)
	fill(t, spool, good)
	list, err := spool.List()
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(list[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	outside := filepath.Join(t.TempDir(), "secret")
	write(t, outside, whole)
	name := func(i int) string {
		return filepath.Join(spool.Dir, fmt.Sprintf("20200101T00000%d.000000000Z-0123456789abcdef.mail", i))
	}
	write(t, name(0), whole[:len(whole)-1])
	write(t, name(1), nil)
	write(t, name(2), []byte("{}\nSubject: forged\r\n\r\n"))
	write(t, name(3), bytes.Replace(whole, []byte(`"team@example.org"`), []byte(`"a@b>\r\nRSET"`), 1))
	write(t, name(4), bytes.Replace(whole, []byte("4 success"), []byte("6 success"), 1)[1:])
	if err := os.Symlink(outside, name(5)); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name(6), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(name(7), 0o600); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(spool.Dir, "notes.mail"), whole)
	write(t, filepath.Join(spool.Dir, "README"), []byte("not a message"))

	s := smtptest.Start(t, smtptest.Options{})
	f := flush(t, spool, serverFor(t, s))
	if len(f.Sent) != 1 || len(f.Aside) != 9 || len(s.Messages()) != 1 {
		t.Errorf("%d sent, aside: %+v", len(f.Sent), f.Aside)
	}
	if f = flush(t, spool, serverFor(t, s)); len(f.Aside) != 0 {
		t.Errorf("reported twice: %+v", f)
	}
	for _, path := range []string{outside, filepath.Join(spool.Dir, "README"), name(0) + ".bad"} {
		if _, err := os.Stat(path); err != nil {
			t.Error(err)
		}
	}
}

func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSpoolIsNotADirectory(t *testing.T) {
	dir := t.TempDir()
	link := Spool{Dir: filepath.Join(dir, "link")}
	if err := os.Symlink(t.TempDir(), link.Dir); err != nil {
		t.Fatal(err)
	}
	if err := link.Add(nightly(t, 1)); err == nil {
		t.Error("followed a link")
	}
	file := Spool{Dir: filepath.Join(dir, "file")}
	write(t, file.Dir, nil)
	if err := file.Add(nightly(t, 1)); err == nil {
		t.Error("wrote into a file")
	}
	none := Spool{Dir: filepath.Join(dir, "none")}
	if f, err := none.Flush(t.Context(), nil); err != nil || f.Sent != nil {
		t.Errorf("a spool that does not exist is not empty: %v", err)
	}
}

func TestSpoolIsFull(t *testing.T) {
	spool := Spool{Dir: t.TempDir()}
	for i := range MaxSpooled {
		write(t, filepath.Join(spool.Dir, fmt.Sprintf("%d.mail", i)), nil)
	}
	err := spool.Add(nightly(t, 1))
	var hinted interface{ Hint() string }
	if !errors.As(err, &hinted) || hinted.Hint() == "" {
		t.Errorf("%v", err)
	}
}

func TestSpoolRefusesInvalidEnvelopes(t *testing.T) {
	spool := Spool{Dir: t.TempDir()}
	for _, change := range []func(*Envelope){
		func(e *Envelope) { e.To = nil },
		func(e *Envelope) { e.ID = "../../etc/passwd" },
		func(e *Envelope) { e.Data = []byte("not a message") },
		func(e *Envelope) { e.Data = []byte("Subject: no date\r\n\r\n") },
	} {
		e := nightly(t, 1)
		change(&e)
		if err := spool.Add(e); err == nil {
			t.Errorf("accepted %+v", e)
		}
	}
}

// TestSpoolConcurrentFlush checks that two processes that flush at the same time send
// each message once.
func TestSpoolConcurrentFlush(t *testing.T) {
	spool := Spool{Dir: t.TempDir()}
	fill(t, spool, nightly(t, 1), nightly(t, 2))
	s := smtptest.Start(t, smtptest.Options{})
	server := serverFor(t, s)
	inside, finished := make(chan struct{}, 2), make(chan error)
	go func() {
		_, err := spool.Flush(t.Context(), func(ctx context.Context, e Envelope) (Delivery, error) {
			inside <- struct{}{}
			return server.Send(ctx, e)
		})
		finished <- err
	}()
	<-inside
	flush(t, spool, server)
	if err := <-finished; err != nil {
		t.Fatal(err)
	}
	if got := len(s.Messages()); got != 2 {
		t.Errorf("%d messages", got)
	}
}

func TestSpoolLockIsBounded(t *testing.T) {
	spool := Spool{Dir: t.TempDir()}
	fill(t, spool, nightly(t, 1))
	unlock, err := spool.lock(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := spool.Flush(ctx, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

// FuzzSpooled checks that every message read from a file can be sent.
func FuzzSpooled(f *testing.F) {
	f.Add([]byte("{}\n"))
	f.Add([]byte(`{"version":1,"id":"<a@b>","from":"a@b","to":["a@b"],"size":0,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}` + "\n"))
	f.Fuzz(func(t *testing.T, content []byte) {
		m, err := parseSpooled(bytes.NewReader(content))
		if err != nil {
			return
		}
		if err := m.check(); err != nil {
			t.Error(err)
		}
		if !bytes.HasSuffix(content, m.Data) || strings.ContainsAny(m.From+strings.Join(m.To, ""), "\r\n <>") {
			t.Errorf("%+v", m)
		}
	})
}
