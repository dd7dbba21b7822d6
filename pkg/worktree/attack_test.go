package worktree

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// planted is what a stranger who can write a repository's configuration has git execute: @ stands for a
// program that leaves a mark. Each has the files that go with it.
var planted = map[string]struct {
	config string
	files  map[string]string
}{
	"fsmonitor":       {config: "[core]\nfsmonitor = @"},
	"clean filter":    {config: "[filter \"f\"]\nclean = @\nsmudge = @\nprocess = @\nrequired = true", files: map[string]string{".gitattributes": "* filter=f\n"}},
	"info attributes": {config: "[filter \"f\"]\nclean = @", files: map[string]string{".git/info/attributes": "* filter=f\n"}},
	"hooks":           {config: "[core]\nhooksPath = .", files: map[string]string{"post-index-change": "#!/bin/sh\n@\n"}},
	"pager":           {config: "[core]\npager = @\n[pager]\nstatus = @\nlog = @\n[color]\nui = always"},
	"alias":           {config: "[alias]\nstatus = !@\nlog = !@\ncat-file = !@\nls-tree = !@"},
	"ssh":             {config: "[core]\nsshCommand = @\ngitProxy = @"},
	"editors":         {config: "[core]\neditor = @\naskPass = @\n[sequence]\neditor = @\n[credential]\nhelper = !@"},
	"external diff":   {config: "[diff]\nexternal = @\n[diff \"d\"]\ncommand = @\ntextconv = @", files: map[string]string{".gitattributes": "* diff=d\n"}},
	"signature":       {config: "[log]\nshowSignature = true\n[gpg]\nprogram = @\n[gpg \"ssh\"]\nprogram = @\n[commit]\ngpgSign = true"},
	"include":         {config: "[include]\npath = more", files: map[string]string{".git/more": "[core]\nfsmonitor = @\n"}},
	"includeIf":       {config: "[includeIf \"gitdir:/\"]\npath = more\n[includeIf \"onbranch:**\"]\npath = more", files: map[string]string{".git/more": "[core]\nfsmonitor = @\n"}},
	"worktree config": {config: "[core]\nrepositoryFormatVersion = 1\n[extensions]\nworktreeConfig = true", files: map[string]string{".git/config.worktree": "[core]\nfsmonitor = @\n"}},
	"lazy fetch":      {config: "[core]\nrepositoryFormatVersion = 1\n[extensions]\npartialClone = origin\n[remote \"origin\"]\nurl = ext::@\nuploadpack = @\npromisor = true\n[protocol]\nallow = always"},
	"alternates":      {config: "[core]\nalternateRefsCommand = @"},
	"credentials":     {config: "[trace2]\neventTarget = /dev/null\n[credential]\nhelper = @\n[submodule]\nrecurse = true"},
}

// plant makes a repository with the files of an attack. The marker appears if anything is executed.
func plant(t *testing.T, config string, files map[string]string) (root, marker string) {
	t.Helper()
	root = newRepository(t)
	marker = filepath.Join(t.TempDir(), "executed")
	program := filepath.Join(root, "program")
	content := "#!/bin/sh\nenv >>" + marker + "\ncat\n"
	mustWrite(t, program, content, 0o755)
	for name, text := range files {
		mustWrite(t, filepath.Join(root, name), strings.ReplaceAll(text, "@", program), 0o755)
	}
	data, err := os.ReadFile(filepath.Join(root, ".git", "config"))
	if err != nil {
		t.Fatal(err)
	}
	mustWrite(t, filepath.Join(root, ".git", "config"), string(data)+strings.ReplaceAll(config, "@", program)+"\n", 0o644)
	changed, err := os.ReadFile(filepath.Join(root, "a", "test.sh"))
	if err != nil {
		t.Fatal(err)
	}
	changed[0] = 'X' // as long as it was: git compares the content, through the filter
	mustWrite(t, filepath.Join(root, "a", "test.sh"), string(changed), 0o644)
	return root, marker
}

func mustWrite(t *testing.T, name, content string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
}

// Nothing that a repository names is executed, whatever is asked about it.
func TestNothingIsExecuted(t *testing.T) {
	for name, attack := range planted {
		t.Run(name, func(t *testing.T) {
			t.Setenv("SMTP_PASSWORD", "a secret of cron")
			root, marker := plant(t, attack.config, attack.files)
			askAll(t, root, repositoryCommit(t, root))
			if got, err := os.ReadFile(marker); err == nil {
				t.Errorf("executed, with SMTP_PASSWORD: %v", strings.Contains(string(got), "SMTP_PASSWORD"))
			}
		})
	}
}

// repositoryCommit reads the commit of the only branch without git, which would do what is planted.
func repositoryCommit(t *testing.T, root string) string {
	t.Helper()
	head, err := os.ReadFile(filepath.Join(root, ".git", "HEAD"))
	if err != nil {
		t.Fatal(err)
	}
	branch := strings.TrimSpace(strings.TrimPrefix(string(head), "ref: "))
	id, err := os.ReadFile(filepath.Join(root, ".git", branch))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(id))
}

// A submodule's own configuration is not used either.
func TestNothingIsExecutedInASubmodule(t *testing.T) {
	root := newRepository(t)
	marker := filepath.Join(t.TempDir(), "executed")
	module := filepath.Join(root, "a", "module")
	mustWrite(t, filepath.Join(module, "file"), "x\n", 0o644)
	runGit(t, module, "init", "-q")
	runGit(t, module, "add", ".")
	runGit(t, module, "commit", "-q", "-m", "module")
	runGit(t, root, "-c", "advice.addEmbeddedRepo=false", "add", ".")
	runGit(t, root, "commit", "-q", "-m", "with a module")
	program := filepath.Join(t.TempDir(), "program")
	mustWrite(t, program, "#!/bin/sh\ntouch "+marker+"\n", 0o755)
	runGit(t, module, "config", "core.fsmonitor", program)
	mustWrite(t, filepath.Join(module, "file"), "y\n", 0o644)
	askAll(t, root, repositoryCommit(t, root))
	if _, err := os.Stat(marker); err == nil {
		t.Error("executed")
	}
}

// git gets nothing of our environment, and has no terminal to push characters into.
func TestEnvironmentOfGit(t *testing.T) {
	root := newRepository(t)
	fake := t.TempDir()
	mustWrite(t, filepath.Join(fake, "git"), "#!/bin/sh\nenv; echo session=$(cut -d' ' -f6 /proc/$$/stat) self=$$; cat\n", 0o755)
	t.Setenv("PATH", fake+":"+os.Getenv("PATH"))
	for _, name := range []string{"SMTP_PASSWORD", "GIT_DIR", "GIT_CONFIG_COUNT", "GIT_SSH_COMMAND", "GIT_TRACE", "SSH_AUTH_SOCK", "LD_PRELOAD"} {
		t.Setenv(name, "")
	}
	t.Setenv("SMTP_PASSWORD", "a-secret")
	p := private{repository: &repository{root: root, patience: commandTimeout}, dir: os.DevNull}
	out, err := p.git(t.Context(), nil, "status")
	if err != nil {
		t.Fatal(err)
	}
	var session string
	for line := range strings.Lines(string(out)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		switch {
		case name == "session":
			session = value
		case name == "PATH", name == "HOME", name == "LC_ALL", name == "PWD", name == "_", name == "SHLVL", name == "OLDPWD":
		case !strings.HasPrefix(name, "GIT_") || name == "GIT_SSH_COMMAND" || name == "GIT_TRACE" || name == "GIT_CONFIG_COUNT":
			t.Errorf("the environment has %s", name)
		}
	}
	own, self, ok := strings.Cut(session, " self=")
	if !ok || own != self {
		t.Errorf("the session is not git's own: %q", session)
	}
}

// An object that claims to be large does not get more memory than the bound.
func TestMemoryOfGit(t *testing.T) {
	root := newRepository(t)
	id := strings.Repeat("a", 40)
	object := filepath.Join(root, ".git", "objects", id[:2], id[2:])
	var content bytes.Buffer
	compressed := zlib.NewWriter(&content)
	if _, err := fmt.Fprintf(compressed, "commit %d\x00tree", 3*maxMemory/2); err != nil || compressed.Close() != nil {
		t.Fatal(err)
	}
	mustWrite(t, object, content.String(), 0o644)
	mustWrite(t, filepath.Join(root, ".git", "HEAD"), id+"\n", 0o644)
	states, err := ours.States(t.Context(), []string{root})
	if err == nil || len(states) > 0 || !strings.Contains(err.Error(), "ut of memory") {
		t.Errorf("%v, %v", states, err)
	}
}

// What git prints without end is not kept.
func TestOutputOfGit(t *testing.T) {
	fake := t.TempDir()
	mustWrite(t, filepath.Join(fake, "git"), "#!/bin/sh\nyes >&2 &\nexec yes\n", 0o755)
	t.Setenv("PATH", fake+":"+os.Getenv("PATH"))
	p := private{repository: &repository{root: t.TempDir(), patience: commandTimeout}, dir: os.DevNull}
	if out, err := p.git(t.Context(), nil, "status"); err == nil || len(out) > 0 || !strings.Contains(err.Error(), "more than 64 MiB") {
		t.Errorf("%d bytes, %v", len(out), err)
	}
}
