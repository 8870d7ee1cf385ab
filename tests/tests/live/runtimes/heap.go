// Keeps and drops memory, and says what its runtime knows of itself. A line in, a line of JSON out, as a workload does.
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
)

var kept [][]byte
var dropped []byte

func main() {
	fmt.Println(`{"ready":true}`)
	input := bufio.NewScanner(os.Stdin)
	for input.Scan() {
		var word string
		var mebibytes int
		fmt.Sscan(input.Text(), &word, &mebibytes)
		for block := 0; block < mebibytes*16; block++ {
			if word == "keep" {
				kept = append(kept, make([]byte, 65536))
			} else {
				dropped = make([]byte, 65536)
			}
		}
		if word == "keep" {
			runtime.GC()
		}
		var stats runtime.MemStats
		runtime.ReadMemStats(&stats)
		fmt.Printf(`{"kept":%d,"collections":%d,"paused":%d,"ended":%d}`+"\n",
			len(kept)*65536, stats.NumGC, stats.PauseTotalNs, stats.LastGC)
	}
}
