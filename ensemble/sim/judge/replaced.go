package judge

// Replace says that another machine, with an empty disk, has taken the place of a server that does not run, under its id: it has
// promised nothing, and cannot know what its predecessor had.
func (v *Invariants) Replace(server int) {
	delete(v.servers, server)
	v.server(server).lost = true
}
