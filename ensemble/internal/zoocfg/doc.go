// Package zoocfg reads what an operator says to a ZooKeeper server: an ordinary zoo.cfg, Java system properties, the
// myid file and the dynamic configuration file.
//
// The one idea: everything a server can be told is a row of one table ([Keys]). A row gives the key's name, where it
// may be said, its default, how its text is read, and its [Effect] here: honoured, ignored (and named in one
// warning), or refused because ignoring it would be unsafe. Nothing is ignored in silence, and every problem of a
// configuration is reported at once, each with the line it stands on.
//
//	cfg, err := zoocfg.Parse(zoocfg.Input{Name: "zoo.cfg", Text: text, Properties: props, ReadFile: os.ReadFile})
//	if err != nil {
//		return err // a *zoocfg.Error: all problems, one a line
//	}
//	for _, s := range cfg.Ignored() { ... }
//
// # Where a value comes from
//
// The file is a Java properties file (see [Entries] for the exact form). A key of kind [File] is read from the file
// alone; as a system property it means nothing. A key K of kind [Property] is the system property zookeeper.K, which
// the file may set under the name K; when both do, the file wins, because Apache copies the file over the properties
// it was started with (QuorumPeerConfig.parseProperties). A key of kind [Direct] is a system property without the
// zookeeper. prefix; Apache knows it only as -D, here the file may say it too, and -D wins.
//
// # How text is read
//
// Keys of kind File are strict as in Apache: a boolean must be true or false in any case, a number must be decimal.
// Properties follow Java's getters where those are predictable: a number may be 0x10 or 010, a boolean is true only
// if it says true. Where Java would silently fall back to the default (snapCount=1OO), a problem is reported instead.
//
// # What it leaves to others
//
// The package opens nothing and asks the environment nothing: the caller passes bytes, properties and a function that
// reads a named file. It does not look whether directories exist or ports are free, and it does not turn a [Config]
// into a running server. All functions are pure and may be called concurrently; a Config is not changed after Parse.
package zoocfg
