package ensemble

// Remember gives the server in memory a disk that outlives it, for those who start it again with other options.
func (o *Options) Remember() { o.memory = newMemory() }
