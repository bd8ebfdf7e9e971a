// Package examples holds one small runnable program per idea. Start with quickstart:
//
//	go run ./examples/quickstart
package examples
