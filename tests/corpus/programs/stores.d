// What a D program keeps: one line on standard input is one request.
// stores SHAPE SIZE BOUND
import std.conv : to;
import std.stdio : stdin;

void main(string[] words)
{
    const size = words[2].to!size_t, bound = words[3].to!size_t;
    ubyte[][size_t] table;
    auto last = new ubyte[][](bound);
    ubyte[] passing;
    size_t served;
    foreach (line; stdin.byLine)
    {
        switch (words[1])
        {
        case "table": table[served] = new ubyte[](size); break;
        case "ring": last[served % bound] = new ubyte[](size); break;
        default: foreach (i; 0 .. bound) passing = new ubyte[](size);
        }
        served++;
    }
}
