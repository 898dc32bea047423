package spool

import (
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// slowFS stops in the fsync of Pebble's log while slow is set: it sends to enter
// and waits for leave.
type slowFS struct {
	vfs.FS
	slow  atomic.Bool
	enter chan struct{}
	leave chan struct{}
}

func (fs *slowFS) Create(name string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.Create(name, category)
	return fs.wrap(f), err
}

func (fs *slowFS) ReuseForWrite(from, to string, category vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := fs.FS.ReuseForWrite(from, to, category)
	return fs.wrap(f), err
}

func (fs *slowFS) wrap(f vfs.File) vfs.File {
	if f == nil {
		return nil
	}
	return &slowFile{f, fs}
}

type slowFile struct {
	vfs.File
	fs *slowFS
}

func (f *slowFile) wait() {
	if f.fs.slow.Load() {
		select {
		case f.fs.enter <- struct{}{}:
		default:
		}
		<-f.fs.leave
	}
}

func (f *slowFile) Sync() error {
	f.wait()
	return f.File.Sync()
}

func (f *slowFile) SyncData() error {
	f.wait()
	return f.File.SyncData()
}
