package tree

import (
	"io/fs"
	"path"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// info describes what a handle is of. Sys returns a *syscall.Stat_t, as that of the package os does.
type info struct {
	name string
	stat syscall.Stat_t
}

func infoOf(handle int, name string) (*info, error) {
	i := &info{name: path.Base(name)}
	return i, syscall.Fstat(handle, &i.stat)
}

// infoIn returns that of a name in a folder.
func infoIn(folder int, name string) (*info, error) {
	var stat unix.Stat_t
	_, err := patient(func() (int, error) { return 0, unix.Fstatat(folder, name, &stat, unix.AT_SYMLINK_NOFOLLOW) })
	return &info{name, syscall.Stat_t{
		Dev: stat.Dev, Ino: stat.Ino, Mode: stat.Mode, Nlink: stat.Nlink, Uid: stat.Uid, Gid: stat.Gid, Rdev: stat.Rdev, Size: stat.Size,
		Blksize: stat.Blksize, Blocks: stat.Blocks,
		Atim: syscall.Timespec(stat.Atim), Mtim: syscall.Timespec(stat.Mtim), Ctim: syscall.Timespec(stat.Ctim),
	}}, err
}

func (i *info) Name() string       { return i.name }
func (i *info) Size() int64        { return i.stat.Size }
func (i *info) ModTime() time.Time { return time.Unix(i.stat.Mtim.Unix()) }
func (i *info) IsDir() bool        { return i.Mode().IsDir() }
func (i *info) Sys() any           { return &i.stat }

// Mode returns the type and the permissions.
func (i *info) Mode() fs.FileMode {
	mode := fs.FileMode(i.stat.Mode) & fs.ModePerm
	switch i.stat.Mode & syscall.S_IFMT { // inode(7)
	case syscall.S_IFREG:
	case syscall.S_IFDIR:
		mode |= fs.ModeDir
	case syscall.S_IFLNK:
		mode |= fs.ModeSymlink
	case syscall.S_IFIFO:
		mode |= fs.ModeNamedPipe
	case syscall.S_IFSOCK:
		mode |= fs.ModeSocket
	case syscall.S_IFBLK:
		mode |= fs.ModeDevice
	case syscall.S_IFCHR:
		mode |= fs.ModeDevice | fs.ModeCharDevice
	default:
		mode |= fs.ModeIrregular
	}
	if i.stat.Mode&syscall.S_ISUID != 0 {
		mode |= fs.ModeSetuid
	}
	if i.stat.Mode&syscall.S_ISGID != 0 {
		mode |= fs.ModeSetgid
	}
	if i.stat.Mode&syscall.S_ISVTX != 0 {
		mode |= fs.ModeSticky
	}
	return mode
}
