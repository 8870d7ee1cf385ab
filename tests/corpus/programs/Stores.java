// What a Java program keeps, in other ways than Shapes: one line on standard input is one request.
// java Stores SHAPE SIZE BOUND
import java.io.*;
import java.nio.ByteBuffer;
import java.util.*;
import java.util.concurrent.*;

public class Stores {
    public static void main(String[] words) throws Exception {
        int size = Integer.parseInt(words[1]), bound = Integer.parseInt(words[2]);
        BlockingQueue<byte[]> bounded = new ArrayBlockingQueue<>(bound);
        Queue<ByteBuffer> direct = new ArrayDeque<>();
        Map<String, byte[]> sessions = new ConcurrentHashMap<>();
        List<Runnable> listeners = new ArrayList<>();
        Map<Integer, byte[]> recent = new LinkedHashMap<>(16, 0.75f, true) {
            protected boolean removeEldestEntry(Map.Entry<Integer, byte[]> eldest) { return size() > bound; }
        };
        Random dice = new Random(7);
        StringBuilder log = new StringBuilder();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in));
        long served = 0;
        for (String line; (line = in.readLine()) != null; served++) {
            switch (words[0]) {
                case "sessions" -> sessions.put(line, new byte[size]);
                case "log" -> log.append("x".repeat(size)).append(line);
                case "lru" -> recent.computeIfAbsent(dice.nextInt(2 * bound), key -> new byte[size]);
                case "listeners" -> { var mine = new byte[size]; listeners.add(() -> mine[0]++); }
                case "queue" -> { if (!bounded.offer(new byte[size])) { bounded.poll(); bounded.offer(new byte[size]); } }
                case "direct" -> { direct.add(ByteBuffer.allocateDirect(size).put(0, (byte) 1)); if (direct.size() > bound) direct.poll(); }
                default -> { var text = new StringBuilder(); for (int i = 0; i < bound; i++) text.append(i).append(line); log.setLength(0); log.append(text.length()); }
            }
        }
    }
}
