// What a Go program keeps, in other ways than shapes: one line on standard input is one request.
// stores SHAPE SIZE BOUND
package main

import (
	"bufio"
	"bytes"
	"container/list"
	"math/rand"
	"os"
	"strconv"
)

type entry struct {
	key   int
	value []byte
}

func main() {
	size, _ := strconv.Atoi(os.Args[2])
	bound, _ := strconv.Atoi(os.Args[3])
	var tails [][]byte
	recent := list.New()
	where := make(map[int]*list.Element)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		if os.Args[1] == "tails" {
			tails = append(tails, bytes.Repeat([]byte{1}, size)[:16])
			continue
		}
		key := rand.Intn(2 * bound)
		if found, is := where[key]; is {
			recent.MoveToFront(found)
			continue
		}
		where[key] = recent.PushFront(entry{key, bytes.Repeat([]byte{1}, size)})
		if recent.Len() > bound {
			delete(where, recent.Remove(recent.Back()).(entry).key)
		}
	}
}
