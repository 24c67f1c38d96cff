import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.locks.LockSupport;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.*;

/**
 * What scripts/bench_kafka.py measures from outside, with Apache's own clients. Run from source:
 *   java -cp "$(scripts/kafka.sh classpath)" test/integration/KafkaProbe.java SERVERS COMMAND name=value ...
 *
 *   latency from= to= alerts= format= [rate=5000 burst=300000 settle=15 warm=10 seconds=30 trace=1]
 *       Takes events from one topic and sends them to another: a burst, a pause, then a steady rate. For each
 *       alert of an event of the last `seconds`: the time from when its event was due to be sent until a reader
 *       of committed records in this process had it. One clock. Beside it until the broker had acknowledged the event,
 *       of all events: what lies before anybody can read it. trace: both by half seconds, to standard error.
 *   first alerts= group= topic= [limit=120]
 *       Prints "ready" once it stands at the end of the alerts and knows the group's position; then the epoch
 *       milliseconds of the next alert and of the next commit.
 *   until group= topic= n= [limit=600]
 *       Waits until the group has committed n records, and prints how many it has.
 *   fill topic= file0= file1= ...
 *       Generated events (JSON lines, a file a partition) as clicks: Avro of schemas/mappings/clicks.avsc, id 1.
 *       Those of shoppers who are known by their devices alone are left out; prints how many are not.
 *   feed topic= seconds= seed= file0= file1= ...
 *       The lines of the files, a file a partition, with a load that changes every second or two: pauses, a third
 *       and three times the mean.
 *   transactions app=
 *       For each line of standard input one line: the open transactions of ids that begin with app-, as id@start.
 *   count topics=
 *       Committed records of each topic, and how many of them are doubled by key, time stamp and value.
 *
 * format: of the alerts, which say which record they are about: nudge (Avro behind a schema id: partition and
 * offset) or id (the event's id, the first text of the value of both).
 */
public class KafkaProbe {
    static final Map<String, String> options = new HashMap<>();
    static String servers;

    static String text(String name) { return Objects.requireNonNull(options.get(name), name); }
    static int number(String name, int fallback) {
        return Integer.parseInt(options.getOrDefault(name, "" + fallback));
    }

    static Properties properties() {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", servers);
        return properties;
    }

    /** Of events that must all arrive, however busy the machine is; the first that did not is in `lost`. */
    static KafkaProducer<byte[], byte[]> producer(String lingerMs) {
        Properties properties = properties();
        properties.put("linger.ms", lingerMs);
        properties.put("batch.size", "262144");
        properties.put("request.timeout.ms", "20000");
        properties.put("delivery.timeout.ms", "600000");
        properties.put("max.block.ms", "600000");
        return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static volatile Exception lost;

    static final Callback NOTES_LOSS = (place, failure) -> {
        if (failure != null && lost == null) lost = failure;
    };

    static void checkLoss() {
        if (lost != null) throw new IllegalStateException("an event was not taken", lost);
    }

    static KafkaConsumer<byte[], byte[]> consumer() {
        Properties properties = properties();
        properties.put("isolation.level", "read_committed");
        properties.put("enable.auto.commit", "false");
        properties.put("max.poll.records", "5000");
        properties.put("auto.offset.reset", "earliest");
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(), new ByteArrayDeserializer());
    }

    static List<TopicPartition> partitions(KafkaConsumer<?, ?> consumer, String topic) {
        return consumer.partitionsFor(topic).stream().map(i -> new TopicPartition(topic, i.partition()))
            .sorted(Comparator.comparingInt(TopicPartition::partition)).toList();
    }

    /* ---- Avro: as much of it as names an event ---- */

    static long varint(ByteBuffer in) {
        long value = 0;
        for (int shift = 0;; shift += 7) {
            byte b = in.get();
            value |= (long) (b & 127) << shift;
            if (b >= 0) return value >>> 1 ^ -(value & 1);
        }
    }

    static String string(ByteBuffer in) {
        byte[] bytes = new byte[(int) varint(in)];
        in.get(bytes);
        return new String(bytes, StandardCharsets.UTF_8);
    }

    static String name(byte[] alert, String format) {
        ByteBuffer in = ByteBuffer.wrap(alert, 5, alert.length - 5);
        if (format.equals("id")) return string(in);
        string(in); // decision_id
        string(in); // cause
        if (varint(in) == 1) string(in); // event_id
        if (varint(in) == 1) string(in); // topic
        String partition = varint(in) == 1 ? string(in) : "";
        return varint(in) == 1 ? partition + " " + varint(in) : "";
    }

    /* ---- latency ---- */

    /** The first n records in the order of their time stamps, each partition's in its own order. */
    static List<ConsumerRecord<byte[], byte[]>> take(String topic, int n) {
        try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            List<TopicPartition> all = partitions(consumer, topic);
            consumer.assign(all);
            consumer.seekToBeginning(all);
            Map<TopicPartition, Long> ends = consumer.endOffsets(all);
            List<ConsumerRecord<byte[], byte[]>> records = new ArrayList<>();
            int[] count = new int[all.size()];
            int enough = n / all.size() * 5 / 4;
            while (all.stream().anyMatch(p -> count[p.partition()] < enough && consumer.position(p) < ends.get(p))) {
                for (var r : consumer.poll(Duration.ofMillis(200))) {
                    if (count[r.partition()]++ < enough) records.add(r);
                }
            }
            records.sort(Comparator.comparingLong(ConsumerRecord::timestamp)); // stable
            return records.subList(0, Math.min(n, records.size()));
        }
    }

    static void latency() throws Exception {
        int rate = number("rate", 5000), burst = number("burst", 300_000);
        int counted = burst + number("warm", 10) * rate, total = counted + number("seconds", 30) * rate;
        String to = text("to"), alerts = text("alerts"), format = text("format");
        List<ConsumerRecord<byte[], byte[]>> records = take(text("from"), total);
        if (records.size() < total) throw new IllegalStateException("only " + records.size() + " records");
        long[] due = new long[total], acked = new long[total];
        float[] taken = new float[total];
        Map<String, Integer> ids = new HashMap<>();
        if (format.equals("id")) {
            for (int i = 0; i < total; i++) ids.put(name(records.get(i).value(), "id"), i);
        }
        // The topic is new, so offsets begin at 0. No objects while the rate is steady: collecting them would take
        // the core that the broker needs.
        int[][] placed = new int[records.stream().mapToInt(ConsumerRecord::partition).max().orElse(0) + 1][total];
        boolean[] stop = {false};
        List<Object[]> heard = Collections.synchronizedList(new ArrayList<>());
        Thread reader = new Thread(() -> {
            try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
                List<TopicPartition> all = partitions(consumer, alerts);
                consumer.assign(all);
                consumer.seekToBeginning(all);
                while (!stop[0]) {
                    for (var r : consumer.poll(Duration.ofMillis(100))) {
                        heard.add(new Object[] {name(r.value(), format), System.nanoTime()});
                    }
                }
            }
        });
        reader.start();
        Properties properties = properties();
        properties.put("linger.ms", "1");
        properties.put("batch.size", "262144");
        properties.put("buffer.memory", "" + (128 << 20));
        long late = 0;
        try (KafkaProducer<byte[], byte[]> producer =
                 new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            long begin = 0;
            for (int i = 0; i < total; i++) {
                if (i == burst) {
                    producer.flush();
                    System.gc(); // not while the rate is steady
                    Thread.sleep(number("settle", 15) * 1000L);
                    begin = System.nanoTime();
                }
                if (i >= burst) {
                    due[i] = begin + (long) ((i - burst) * (1e9 / rate));
                    long wait = due[i] - System.nanoTime();
                    if (wait > 500_000) LockSupport.parkNanos(wait);
                    if (i >= counted) late = Math.max(late, System.nanoTime() - due[i]);
                }
                var r = records.get(i);
                int at = i;
                producer.send(new ProducerRecord<>(to, r.partition(), r.timestamp(), r.key(), r.value()), (place, error) -> {
                    acked[at] = System.nanoTime();
                    if (error == null) placed[place.partition()][(int) place.offset()] = at + 1;
                });
            }
            producer.flush();
        }
        Thread.sleep(4000);
        stop[0] = true;
        reader.join();
        int samples = 0, unknown = 0;
        for (Object[] alert : heard) {
            int i = format.equals("id") ? ids.getOrDefault((String) alert[0], -1) : at(placed, (String) alert[0]);
            if (i < 0) unknown++;
            else if (i >= burst && taken[i] == 0) {
                taken[i] = ((long) alert[1] - due[i]) / 1e6f;
                samples += i >= counted ? 1 : 0;
            }
        }
        if (options.containsKey("trace")) trace(rate, burst, taken, due, acked);
        float[] sorted = new float[samples], sent = new float[total - counted];
        int k = 0;
        for (int i = counted; i < total; i++) if (taken[i] > 0) sorted[k++] = taken[i];
        for (int i = counted; i < total; i++) sent[i - counted] = (acked[i] - due[i]) / 1e6f;
        Arrays.sort(sorted);
        Arrays.sort(sent);
        System.out.printf(Locale.ROOT, "{\"rate\":%d,\"samples\":%d,\"unknown\":%d,\"p50_ms\":%.1f,\"p90_ms\":%.1f,\"p99_ms\":%.1f,"
                + "\"p999_ms\":%.1f,\"max_ms\":%.1f,\"worst_send_delay_ms\":%.1f,\"acked_p50_ms\":%.1f,\"acked_p99_ms\":%.1f}%n",
            rate, samples, unknown, at(sorted, .5), at(sorted, .9), at(sorted, .99), at(sorted, .999), at(sorted, 1),
            late / 1e6, at(sent, .5), at(sent, .99));
    }

    /** Which of the sent events stands at "partition offset"; -1: none. */
    static int at(int[][] placed, String place) {
        int space = place.indexOf(' ');
        if (space < 0) return -1;
        int partition = Integer.parseInt(place.substring(0, space));
        long offset = Long.parseLong(place.substring(space + 1));
        return partition < placed.length && offset < placed[partition].length ? placed[partition][(int) offset] - 1 : -1;
    }

    /** For each half second from the end of the burst, as events were due: how late alerts came, and the broker's answers. */
    static void trace(int rate, int burst, float[] taken, long[] due, long[] acked) {
        int per = Math.max(1, rate / 2);
        for (int from = burst; from < taken.length; from += per) {
            int until = Math.min(taken.length, from + per), k = 0;
            float[] alerts = new float[until - from], sent = new float[until - from];
            for (int i = from; i < until; i++) {
                sent[i - from] = (acked[i] - due[i]) / 1e6f;
                if (taken[i] > 0) alerts[k++] = taken[i];
            }
            alerts = Arrays.copyOf(alerts, k);
            Arrays.sort(alerts);
            Arrays.sort(sent);
            System.err.printf(Locale.ROOT, "%5.1f s: %5d alerts, p50 %7.1f max %7.1f ms; acknowledged p50 %7.1f max %7.1f ms%n",
                (from - burst) / (double) rate, k, at(alerts, .5), at(alerts, 1), at(sent, .5), at(sent, 1));
        }
    }

    static float at(float[] sorted, double share) {
        return sorted.length == 0 ? Float.NaN : sorted[Math.min(sorted.length - 1, (int) (sorted.length * share))];
    }

    /* ---- clicks ---- */

    static final List<String> TYPES = List.of("product_view", "add_to_cart", "remove_from_cart", "purchase", "search", "login");

    static void varint(ByteArrayOutputStream out, long value) {
        long n = value << 1 ^ value >> 63;
        for (; (n & ~127L) != 0; n >>>= 7) out.write((int) (n & 127 | 128));
        out.write((int) n);
    }

    static void string(ByteArrayOutputStream out, String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        varint(out, bytes.length);
        out.writeBytes(bytes);
    }

    static void optional(ByteArrayOutputStream out, JsonNode event, String field) {
        varint(out, event.hasNonNull(field) ? 1 : 0);
        if (event.hasNonNull(field)) string(out, event.get(field).asText());
    }

    static byte[] click(JsonNode event) {
        ByteArrayOutputStream out = new ByteArrayOutputStream(512);
        out.writeBytes(new byte[] {0, 0, 0, 0, 1});
        string(out, event.path("event_id").asText());
        string(out, event.path("user_id").asText());
        optional(out, event, "session_hint");
        varint(out, event.get("event_time").asLong());
        int type = TYPES.indexOf(event.get("type").asText());
        varint(out, type >= 0 ? type : 4); // a click has no word for it
        optional(out, event, "item");
        optional(out, event, "category");
        optional(out, event, "brand");
        varint(out, event.hasNonNull("price") ? 1 : 0);
        if (event.hasNonNull("price")) {
            long bits = Double.doubleToLongBits(event.get("price").asLong() / 1e6);
            for (int i = 0; i < 8; i++) out.write((int) (bits >>> 8 * i));
        }
        optional(out, event, "url");
        optional(out, event, "ip");
        optional(out, event, "user_agent");
        return out.toByteArray();
    }

    static void fill() throws Exception {
        ObjectMapper json = new ObjectMapper();
        long sent = 0;
        try (KafkaProducer<byte[], byte[]> producer = producer("20")) {
            for (int i = 0; options.containsKey("file" + i); i++) {
                try (BufferedReader in = Files.newBufferedReader(Path.of(text("file" + i)))) {
                    for (String line; (line = in.readLine()) != null;) {
                        JsonNode event = json.readTree(line);
                        if (!event.hasNonNull("user_id")) continue;
                        byte[] key = event.get("user_id").asText().getBytes(StandardCharsets.UTF_8);
                        producer.send(new ProducerRecord<>(text("topic"), i, event.get("event_time").asLong(), key, click(event)), NOTES_LOSS);
                        sent++;
                    }
                }
            }
        }
        checkLoss();
        System.out.println(sent);
    }

    /* ---- for the storm ---- */

    static void feed() throws Exception {
        List<BufferedReader> files = new ArrayList<>();
        long lines = 0;
        for (int i = 0; options.containsKey("file" + i); i++) {
            try (var all = Files.lines(Path.of(text("file" + i)))) { lines += all.count(); }
            files.add(Files.newBufferedReader(Path.of(text("file" + i))));
        }
        double[] loads = {0, 0.3, 0.7, 1, 3};
        Random random = new Random(number("seed", 1));
        double perMs = lines / 1000.0 / number("seconds", 60);
        try (KafkaProducer<byte[], byte[]> producer = producer("5")) {
            for (long sent = 0; sent < lines;) {
                double load = loads[random.nextInt(loads.length)] * perMs;
                long phase = 500 + random.nextInt(1500), begin = System.nanoTime();
                long quota = (long) (load * phase);
                for (long n = 0; n < quota && sent < lines; n++) {
                    String line = null;
                    int partition = (int) (sent % files.size());
                    for (int tries = 0; line == null && tries < files.size(); tries++) {
                        line = files.get(partition).readLine();
                        if (line == null) partition = (partition + 1) % files.size();
                    }
                    producer.send(new ProducerRecord<>(text("topic"), partition, null, line.getBytes(StandardCharsets.UTF_8)), NOTES_LOSS);
                    sent++;
                    long ahead = (long) (n / load) - (System.nanoTime() - begin) / 1_000_000;
                    if (ahead > 5) Thread.sleep(ahead);
                }
                Thread.sleep(Math.max(0, phase - (System.nanoTime() - begin) / 1_000_000));
            }
        }
        checkLoss();
        System.out.println("fed");
    }

    static void transactions() throws Exception {
        String prefix = text("app") + "-";
        try (Admin admin = Admin.create(properties());
             BufferedReader in = new BufferedReader(new java.io.InputStreamReader(System.in))) {
            while (in.readLine() != null) {
                StringBuilder line = new StringBuilder();
                try {
                    var open = new ListTransactionsOptions().filterStates(Set.of(TransactionState.ONGOING)).timeoutMs(3000);
                    List<String> ids = admin.listTransactions(open).all().get().stream()
                        .map(TransactionListing::transactionalId).filter(id -> id.startsWith(prefix)).toList();
                    for (var e : admin.describeTransactions(ids).all().get().entrySet()) {
                        if (e.getValue().transactionStartTimeMs().isPresent()) {
                            line.append(e.getKey()).append('@').append(e.getValue().transactionStartTimeMs().getAsLong()).append(' ');
                        }
                    }
                } catch (java.util.concurrent.ExecutionException away) { /* a broker is down: none are known */ }
                System.out.println(line);
            }
        }
    }

    /* ---- positions ---- */

    static long committed(Admin admin, String group, String topic) throws Exception {
        long n = 0;
        try {
            for (var e : admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata().get().entrySet()) {
                if (e.getValue() != null && e.getKey().topic().equals(topic)) n += e.getValue().offset();
            }
        } catch (java.util.concurrent.ExecutionException none) { /* no such group yet */ }
        return n;
    }

    static void until() throws Exception {
        long limit = System.currentTimeMillis() + number("limit", 600) * 1000L, n = 0;
        try (Admin admin = Admin.create(properties())) {
            while ((n = committed(admin, text("group"), text("topic"))) < number("n", 0)
                   && System.currentTimeMillis() < limit) Thread.sleep(20);
        }
        System.out.println(n);
    }

    static void first() throws Exception {
        long limit = System.currentTimeMillis() + number("limit", 120) * 1000L;
        long output = 0, commit = 0;
        String group = text("group"), topic = text("topic");
        try (Admin admin = Admin.create(properties()); KafkaConsumer<byte[], byte[]> consumer = consumer()) {
            List<TopicPartition> all = partitions(consumer, text("alerts"));
            consumer.assign(all);
            consumer.seekToEnd(all);
            for (TopicPartition p : all) consumer.position(p);
            long from = committed(admin, group, topic);
            System.out.println("ready");
            while ((commit == 0 || output == 0) && System.currentTimeMillis() < limit) {
                if (output == 0 && !consumer.poll(Duration.ofMillis(5)).isEmpty()) output = System.currentTimeMillis();
                if (commit == 0 && committed(admin, group, topic) > from) commit = System.currentTimeMillis();
            }
        }
        System.out.println(output + " " + commit);
    }

    static void count() {
        StringBuilder line = new StringBuilder("{");
        for (String topic : text("topics").split(",")) {
            long n = 0;
            Set<Long> seen = new HashSet<>();
            try (KafkaConsumer<byte[], byte[]> consumer = consumer()) {
                List<TopicPartition> all = partitions(consumer, topic);
                consumer.assign(all);
                consumer.seekToBeginning(all);
                Map<TopicPartition, Long> ends = consumer.endOffsets(all);
                while (all.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                    for (var r : consumer.poll(Duration.ofMillis(200))) {
                        n++;
                        seen.add((long) Arrays.hashCode(r.value()) << 32 ^ r.timestamp() * 31 ^ Arrays.hashCode(r.key()));
                    }
                }
            }
            line.append(line.length() > 1 ? "," : "").append(String.format("\"%s\":%d,\"%s doubled\":%d", topic, n, topic, n - seen.size()));
        }
        System.out.println(line.append("}"));
    }

    public static void main(String[] arguments) throws Exception {
        servers = arguments[0];
        for (String a : Arrays.asList(arguments).subList(2, arguments.length)) {
            options.put(a.substring(0, a.indexOf('=')), a.substring(a.indexOf('=') + 1));
        }
        switch (arguments[1]) {
        case "latency" -> latency();
        case "first" -> first();
        case "until" -> until();
        case "fill" -> fill();
        case "feed" -> feed();
        case "transactions" -> transactions();
        case "count" -> count();
        default -> throw new IllegalArgumentException(arguments[1]);
        }
    }
}
