package spool

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"
)

// The format of keys and values together. A program refuses a larger one.
const spoolFormat = 1

// format is the number and the program that wrote the spool last. Its encoding
// must never change: every older program reads it.
type format struct {
	number  uint32
	version string
}

func (s *Spool) format() format { return format{spoolFormat, s.options.Version} }

func (f format) encode() []byte {
	return append(binary.BigEndian.AppendUint32(nil, f.number), f.version...)
}

func decodeFormat(b []byte) (format, error) {
	if len(b) < 4 {
		return format{}, damagef("key format: %d bytes are too few", len(b))
	}
	return format{binary.BigEndian.Uint32(b), string(b[4:])}, nil
}

func (f format) newer() error {
	return fmt.Errorf("%w, %s (format %d; this version reads up to %d): start that version, or a later one",
		ErrNewer, strconv.Quote(f.version), f.number, spoolFormat)
}

// The label is two lines of text, `passalong spool N` and `written by VERSION`.
func (s *Spool) readLabel() (format, error) {
	text, err := readFile(s.fs, s.fs.PathJoin(s.options.Dir, labelName))
	if err != nil || text == "" {
		return format{}, err
	}
	var f format
	head, version, _ := strings.Cut(strings.TrimSuffix(text, "\n"), "\n")
	f.version = strings.TrimPrefix(version, "written by ")
	number, err := strconv.ParseUint(strings.TrimPrefix(head, "passalong spool "), 10, 32)
	if err != nil {
		s.log.Warn("label of the spool cannot be read, the spool itself decides")
		return format{}, nil
	}
	f.number = uint32(number)
	return f, nil
}

func (s *Spool) writeLabel() error {
	text := fmt.Sprintf("passalong spool %d\nwritten by %s\n", spoolFormat, s.options.Version)
	path := s.fs.PathJoin(s.options.Dir, labelName)
	if was, err := readFile(s.fs, path); err != nil || was == text {
		return err
	}
	if err := writeFile(s.fs, path, text); err != nil {
		return fmt.Errorf("write %s: %w", labelName, err)
	}
	return nil
}
