// How memory is held, as Go programs hold it: one line on standard input is one request.
// shapes SHAPE SIZE BOUND
package main

import (
	"bufio"
	"math/rand"
	"os"
	"strconv"
)

func main() {
	size, _ := strconv.Atoi(os.Args[2])
	bound, _ := strconv.Atoi(os.Args[3])
	served := 0
	var held [][]byte
	var passing []byte
	cache := make(map[int][]byte)
	never := make(chan int)
	shapes := map[string]func(){
		"leak":       func() { held = append(held, make([]byte, size)) },
		"goroutines": func() { go func() { mine := make([]byte, size); mine[<-never] = 1 }() },
		"garbage":    func() { passing = make([]byte, size) },
		"garbage-leak": func() {
			passing = make([]byte, 4*size)
			held = append(held, make([]byte, size))
		},
		"ring":  func() { cache[served%bound] = make([]byte, size) },
		"cache": func() { cache[rand.Intn(bound)] = make([]byte, size) },
		"strings": func() { cache[served] = []byte(strconv.Itoa(served)) },
	}
	serve := shapes[os.Args[1]]
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		serve()
		served++
	}
	_ = passing
}
