// Keeps and drops memory, and says what its JVM knows of itself. A line in, a line of JSON out, as a workload does.

import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.lang.management.GarbageCollectorMXBean;
import java.lang.management.ManagementFactory;
import java.lang.management.MemoryPoolMXBean;
import java.lang.management.MemoryType;
import java.util.ArrayList;
import java.util.List;

public class Heap {
    static final List<byte[]> kept = new ArrayList<>();
    static byte[] dropped;

    public static void main(String[] arguments) throws Exception {
        System.out.println("{\"ready\":true}");
        BufferedReader input = new BufferedReader(new InputStreamReader(System.in));
        for (String line = input.readLine(); line != null; line = input.readLine()) {
            String[] words = line.split(" ");
            int blocks = Integer.parseInt(words[1]) * 16;
            for (int block = 0; block < blocks; block++) {
                if (words[0].equals("keep")) {
                    kept.add(new byte[65536]);
                } else {
                    dropped = new byte[65536];
                }
            }
            if (words[0].equals("keep")) {
                System.gc();
            }
            answer();
        }
    }

    static void answer() {
        long collections = 0;
        for (GarbageCollectorMXBean collector : ManagementFactory.getGarbageCollectorMXBeans()) {
            collections += collector.getCollectionCount();
        }
        long survived = 0;
        for (MemoryPoolMXBean pool : ManagementFactory.getMemoryPoolMXBeans()) {
            if (pool.getType() == MemoryType.HEAP && pool.getCollectionUsage() != null) {
                survived += pool.getCollectionUsage().getUsed();
            }
        }
        System.out.printf("{\"kept\":%d,\"survived\":%d,\"collections\":%d}%n", kept.size() * 65536L, survived, collections);
    }
}
