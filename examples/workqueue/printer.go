package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/bellwether-zk/bellwether/client"
	"github.com/bellwether-zk/bellwether/client/typed"
	"github.com/bellwether-zk/bellwether/recipes/queue"
)

const (
	photosPath  = "/photos/queue"
	printedPath = "/photos/printed" // what has been done, a node for each photo
)

// A Print is a photo that was printed.
type Print struct {
	By      string
	Attempt int
}

// prints are all that have been made.
func prints(c *client.Client) *typed.Directory[Print] {
	return typed.NewDirectory[Print](c, printedPath, nil)
}

// photos is the queue. A photo that cannot be printed is tried three times, and then laid aside for somebody to look at.
func photos(c *client.Client, name string) *queue.Queue {
	return queue.New(c, photosPath, &queue.Options{ID: name, MaxAttempts: 3})
}

var errPaper = errors.New("no paper of that size")

// A printer takes photos from the queue, one after the other.
type printer struct {
	name   string
	client *client.Client
	jams   string // the photo it hangs at, for the story
}

// run prints until ctx ends. It holds one photo at a time, and the servers know which: when it dies, another printer is given that one.
func (p *printer) run(ctx context.Context) error {
	queue := photos(p.client, p.name)
	for {
		photo, err := queue.Take(ctx)
		if err != nil {
			return err
		}
		// What was taken is finished also if ctx ends meanwhile; the servers are told what came of it, however it came.
		if err := p.finish(context.WithoutCancel(ctx), photo, p.print(photo)); err != nil {
			return err
		}
	}
}

// print does the work. It stops when the photo is another printer's.
func (p *printer) print(photo *queue.Delivery) error {
	switch string(photo.Data()) {
	case p.jams:
		fmt.Println("jammed")
		<-photo.Context().Done()
		return context.Cause(photo.Context())
	case "poster":
		return errPaper
	default:
		return nil
	}
}

// finish takes the photo out of the queue, or gives it back.
func (p *printer) finish(ctx context.Context, photo *queue.Delivery, failed error) error {
	note, err := json.Marshal(Print{By: p.name, Attempt: photo.Attempt()})
	if err != nil {
		return err
	}
	if failed != nil {
		err = photo.Nack(ctx, 0, failed)
	} else {
		// The note is made in the same transaction, so there is one for each photo that is out of the queue, and none for another. On
		// paper a photo may be there twice: if its printer dies when it is printed and not yet noted.
		err = photo.Ack(ctx, client.CreateOp(printedPath+"/"+string(photo.Data()), note, nil))
	}
	if err != nil && photo.Context().Err() != nil {
		return nil // the photo was lost, with the session most likely, and is another printer's
	}
	return err
}
