// How memory is held, as Java programs hold it: one line on standard input is one request.
// java Shapes.java SHAPE SIZE BOUND
import java.io.*;
import java.util.*;

public class Shapes {
    static final List<byte[]> held = new ArrayList<>();
    static final Random dice = new Random(7);
    static long served;
    static Object passing;

    public static void main(String[] words) throws IOException {
        int size = Integer.parseInt(words[1]), bound = Integer.parseInt(words[2]);
        Map<Integer, byte[]> cache = new LinkedHashMap<>(16, 0.75f, true) {
            protected boolean removeEldestEntry(Map.Entry<Integer, byte[]> eldest) { return size() > bound; }
        };
        Runnable serve = switch (words[0]) {
            case "leak" -> () -> held.add(new byte[size]);
            case "garbage" -> () -> passing = new byte[size];
            case "garbage-leak" -> () -> { passing = new byte[4 * size]; held.add(new byte[size]); };
            case "ring" -> () -> cache.put((int) served, new byte[size]);
            case "cache" -> () -> cache.put(dice.nextInt(bound), new byte[size]);
            default -> throw new IllegalArgumentException(words[0]);
        };
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        while (in.readLine() != null) { serve.run(); served++; }
    }
}
