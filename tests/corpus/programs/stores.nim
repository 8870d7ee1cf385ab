## What a Nim program keeps: one line on standard input is one request.
## stores SHAPE SIZE BOUND
import std/[os, strutils, tables]

let
  size = parseInt(paramStr(2))
  bound = parseInt(paramStr(3))
var
  table: Table[string, string]
  last = newSeq[string](bound)
  served = 0

for line in lines(stdin):
  case paramStr(1)
  of "table": table[line] = repeat('x', size)
  else: last[served mod bound] = repeat('x', size)
  inc served
