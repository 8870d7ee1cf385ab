// What a program under Mono keeps: one line on standard input is one request.
// mono Stores.exe SHAPE SIZE BOUND
using System;
using System.Collections.Generic;

public static class Stores {
    public static void Main(string[] words) {
        int size = int.Parse(words[1]), bound = int.Parse(words[2]), served = 0;
        var kept = new List<byte[]>();
        var last = new Dictionary<int, byte[]>();
        while (Console.ReadLine() != null) {
            var mine = new byte[size];
            switch (words[0]) {
                case "list": kept.Add(mine); break;
                case "ring": last[served % bound] = mine; break;
                default: for (int i = 0; i < bound; i++) mine = new byte[size]; break;
            }
            served++;
        }
    }
}
