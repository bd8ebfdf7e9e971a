package main

import (
	"fmt"
	"strings"

	"github.com/bellwether-zk/bellwether/ensemble/internal/znode"
)

// permLetters are the permissions as zkCli.sh spells them.
var permLetters = []struct {
	letter byte
	perm   znode.Perms
}{{'c', znode.PermCreate}, {'d', znode.PermDelete}, {'r', znode.PermRead}, {'w', znode.PermWrite}, {'a', znode.PermAdmin}}

// parseACL reads scheme:id:perms, several of them joined by commas. The id may hold colons; perms are letters of cdrwa.
func parseACL(text string) ([]znode.ACL, error) {
	var acl []znode.ACL
	for _, entry := range strings.Split(text, ",") {
		first, last := strings.IndexByte(entry, ':'), strings.LastIndexByte(entry, ':')
		if first <= 0 || first == last {
			return nil, fmt.Errorf("%q is not of the form scheme:id:perms", entry)
		}
		perms, err := parsePerms(entry[last+1:])
		if err != nil {
			return nil, err
		}
		acl = append(acl, znode.ACL{Perms: perms, ID: znode.ID{Scheme: entry[:first], Name: entry[first+1 : last]}})
	}
	return acl, nil
}

func parsePerms(text string) (znode.Perms, error) {
	var perms znode.Perms
next:
	for i := range len(text) {
		for _, p := range permLetters {
			if p.letter == text[i] {
				perms |= p.perm
				continue next
			}
		}
		return 0, fmt.Errorf("%q is not among the permissions c, d, r, w, a", text[i])
	}
	if perms == 0 {
		return 0, fmt.Errorf("no permissions given")
	}
	return perms, nil
}
