import java.io.*;
import java.nio.charset.StandardCharsets;
import java.nio.file.*;
import java.time.Duration;
import java.util.*;
import java.util.concurrent.ExecutionException;
import org.apache.kafka.clients.admin.*;
import org.apache.kafka.clients.consumer.*;
import org.apache.kafka.clients.producer.*;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.*;
import org.apache.kafka.common.serialization.*;

/**
 * Apache's own clients, for tests. Run from source:
 *   java -cp "$(scripts/kafka.sh classpath)" test/integration/KafkaTool.java SERVERS COMMAND ...
 *     create TOPIC PARTITIONS [SETTING=VALUE...]   a topic for events; SETTING= leaves it out
 *     load TOPIC FILE...            the lines of the n-th file into partition n
 *     loadavro TOPIC FILE...        likewise; u32 little-endian length and bytes, record by record
 *     dump DIR TOPIC...             what readers of committed records see, as DIR/TOPIC-PARTITION:
 *                                   a line a record: key, time stamp, value, with tabs between
 *     records DIR TOPIC...          all that they have of them, as DIR/TOPIC, in the form of read below
 *     delete TOPIC...
 *     trim TOPIC...                 all of it is gone
 *     shell                         obeys the lines of standard input, of words between tabs, and
 *                                   answers each with "ok" or "error: WHY" (what comes before it is
 *                                   what was asked for):
 *       make TOPIC PARTITIONS [SETTING=VALUE...]
 *       delete TOPIC...
 *       grow TOPIC PARTITIONS       more partitions, once they are seen
 *       set TOPIC SETTING=VALUE...
 *       trim TOPIC PARTITION OFFSET the records before it are gone
 *       send FILE                   a record a line: topic, partition, time stamp or -, key, value,
 *                                   headers NAME=HEX with commas between; bytes in hexadecimal, - for
 *                                   null
 *       read TOPIC...               committed records: topic, partition, offset, time stamp, key,
 *                                   value, headers, in the same form
 *       offsets GROUP               topic, partition, committed offset and its metadata
 *       forget GROUP                the group, with its offsets
 * NUDGE_TOOL_PROPERTIES names a file of more properties for the clients.
 */
public class KafkaTool {
    /** What a test waits for at most where the machine is busy: a test fails by what it finds. */
    static final String PATIENCE_MS = "600000";

    static Properties properties(String servers) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", servers);
        properties.put("request.timeout.ms", "60000");
        String more = System.getenv("NUDGE_TOOL_PROPERTIES");
        if (more != null) {
            try (InputStream in = new FileInputStream(more)) {
                properties.load(in);
            } catch (IOException missing) {
                throw new UncheckedIOException(missing);
            }
        }
        return properties;
    }

    static Properties asking(String servers) {
        Properties properties = properties(servers);
        properties.put("default.api.timeout.ms", PATIENCE_MS);
        return properties;
    }

    /**
     * Nothing is given up before its time, sent twice, or out of order. One request at a time: a
     * topic that has just been made may refuse the first request and take the second, after which
     * the first one's numbers are out of order for ever.
     */
    static Properties producing(String servers) {
        Properties properties = properties(servers);
        properties.put("enable.idempotence", "true");
        properties.put("max.in.flight.requests.per.connection", "1");
        properties.put("delivery.timeout.ms", PATIENCE_MS);
        properties.put("max.block.ms", PATIENCE_MS);
        return properties;
    }

    /** Remembers the first record that was not taken; there must be none. */
    static class Failures implements Callback {
        private volatile Exception first;

        @Override public void onCompletion(RecordMetadata place, Exception failure) {
            if (failure != null && first == null) {
                first = failure;
            }
        }

        void check() {
            if (first != null) {
                throw new IllegalStateException("a record was not taken", first);
            }
        }
    }

    static void create(String servers, List<String> words) throws Exception {
        try (Admin admin = Admin.create(asking(servers))) {
            make(admin, words);
        }
    }

    /*
     * The answer to the request comes before the brokers' metadata shows the topic. With several
     * brokers any of them may be asked, so it is seen once it was seen several times in a row.
     */
    static boolean isSeen(Admin admin, String topic, int partitions) throws Exception {
        int brokers = admin.describeCluster().nodes().get().size();
        for (int times = 0; times < (brokers > 1 ? 4 * brokers : 1); times++) {
            try {
                if (admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic)
                        .partitions().size() != partitions) {
                    return false;
                }
            } catch (ExecutionException unknown) {
                return false;
            }
        }
        return true;
    }

    /* A broker listens before the controller lets it have partitions. */
    static void request(Admin admin, NewTopic topic) throws Exception {
        while (true) {
            try {
                admin.createTopics(List.of(topic)).all().get();
                return;
            } catch (ExecutionException refused) {
                if (!(refused.getCause() instanceof InvalidReplicationFactorException)) {
                    throw refused;
                }
                Thread.sleep(200);
            }
        }
    }

    static boolean isGone(Admin admin, String topic) throws Exception {
        int brokers = admin.describeCluster().nodes().get().size();
        for (int times = 0; times < (brokers > 1 ? 4 * brokers : 1); times++) {
            if (admin.listTopics().names().get().contains(topic)) {
                return false;
            }
        }
        return true;
    }

    static void delete(String servers, List<String> topics) throws Exception {
        try (Admin admin = Admin.create(asking(servers))) {
            Set<String> present = admin.listTopics().names().get();
            List<String> found = new ArrayList<>(topics);
            found.retainAll(present);
            admin.deleteTopics(found).all().get();
            for (String topic : found) {
                while (!isGone(admin, topic)) {
                    Thread.sleep(50);
                }
            }
        }
    }

    static void load(String servers, String topic, List<String> files, boolean framed)
            throws Exception {
        Properties properties = producing(servers);
        Failures failures = new Failures();
        properties.put("linger.ms", "20");
        properties.put("batch.size", "262144");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(
                 properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int partition = 0; partition < files.size(); partition++) {
                try (DataInputStream in = new DataInputStream(new BufferedInputStream(
                         new FileInputStream(files.get(partition)), 1 << 20))) {
                    for (byte[] record; (record = framed ? frame(in) : line(in)) != null;) {
                        producer.send(new ProducerRecord<>(topic, partition, null, record), failures);
                    }
                }
            }
            producer.flush();
        }
        failures.check();
    }

    static byte[] line(DataInputStream in) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(512);
        int next = in.read();
        if (next < 0) {
            return null;
        }
        for (; next >= 0 && next != '\n'; next = in.read()) {
            bytes.write(next);
        }
        return bytes.toByteArray();
    }

    static byte[] frame(DataInputStream in) throws IOException {
        int first = in.read();
        if (first < 0) {
            return null;
        }
        int length = first | in.read() << 8 | in.read() << 16 | in.read() << 24;
        byte[] bytes = new byte[length];
        in.readFully(bytes);
        return bytes;
    }

    /* By isolation level: they are kept, since a test reads again and again while it waits. */
    static final Map<String, KafkaConsumer<byte[], byte[]>> readers = new HashMap<>();

    static KafkaConsumer<byte[], byte[]> reader(String servers, String isolation) {
        return readers.computeIfAbsent(isolation, level -> consumer(servers, level));
    }

    /* What topics there are, and with how many partitions, is learnt anew. */
    static void forgetReaders() {
        readers.values().forEach(KafkaConsumer::close);
        readers.clear();
    }

    static KafkaConsumer<byte[], byte[]> consumer(String servers, String isolation) {
        Properties properties = asking(servers);
        properties.put("isolation.level", isolation);
        properties.put("enable.auto.commit", "false");
        properties.put("max.poll.records", "5000");
        properties.put("auto.offset.reset", "earliest"); // Records may be deleted while they are read.
        return new KafkaConsumer<>(properties, new ByteArrayDeserializer(),
                                   new ByteArrayDeserializer());
    }

    static boolean areReached(Map<TopicPartition, Long> positions, Map<TopicPartition, Long> ends) {
        return ends.entrySet().stream().allMatch(end -> positions.get(end.getKey()) >= end.getValue());
    }

    /*
     * Where readers of committed records come to an end. A commit is answered before its markers stand
     * in every partition, so this waits until no transaction is open below what is written by now.
     * One that somebody left who was killed is ended by its next owner, or else by the brokers.
     */
    static Map<TopicPartition, Long> settledEnds(String servers, List<TopicPartition> partitions,
                                                 KafkaConsumer<byte[], byte[]> committed)
            throws Exception {
        Map<TopicPartition, Long> written = reader(servers, "read_uncommitted").endOffsets(partitions);
        long until = System.nanoTime() + 120_000_000_000L;
        while (true) {
            Map<TopicPartition, Long> ends = committed.endOffsets(partitions);
            if (areReached(ends, written)) {
                return ends;
            }
            if (System.nanoTime() > until) {
                throw new IllegalStateException("transactions are open below " + written +
                                                ", readers come to " + ends);
            }
            Thread.sleep(10);
        }
    }

    /* All committed records of the topics, a partition's in their order. */
    static void each(String servers, List<String> topics, RecordTaker taker) throws Exception {
        KafkaConsumer<byte[], byte[]> consumer = reader(servers, "read_committed");
        List<TopicPartition> partitions = new ArrayList<>();
        for (String topic : topics) {
            consumer.partitionsFor(topic).forEach(
                info -> partitions.add(new TopicPartition(topic, info.partition())));
        }
        Map<TopicPartition, Long> ends = settledEnds(servers, partitions, consumer);
        partitions.removeIf(partition -> ends.get(partition) == 0);
        consumer.assign(partitions);
        consumer.seekToBeginning(partitions);
        while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
            for (ConsumerRecord<byte[], byte[]> record : consumer.poll(Duration.ofMillis(100))) {
                taker.take(record);
            }
        }
        consumer.unsubscribe();
    }

    interface RecordTaker {
        void take(ConsumerRecord<byte[], byte[]> record) throws IOException;
    }

    static void dump(String servers, String directory, List<String> topics) throws Exception {
        Files.createDirectories(Path.of(directory));
        Map<String, OutputStream> files = new HashMap<>();
        try (Admin admin = Admin.create(asking(servers))) {
            for (var topic : admin.describeTopics(topics).allTopicNames().get().values()) {
                for (int partition = 0; partition < topic.partitions().size(); partition++) {
                    String name = topic.name() + "-" + partition;
                    files.put(name, new BufferedOutputStream(
                        new FileOutputStream(directory + "/" + name)));
                }
            }
        }
        each(servers, topics, record -> {
            OutputStream file = files.get(record.topic() + "-" + record.partition());
            String head = (record.key() == null ? "" : printable(record.key())) + "\t" +
                          record.timestamp() + "\t";
            file.write(head.getBytes(StandardCharsets.UTF_8));
            file.write(record.value() == null ? new byte[0] : record.value());
            file.write('\n');
        });
        for (OutputStream file : files.values()) {
            file.close();
        }
    }

    /* ---- the shell ---- */

    static Map<String, String> settings(List<String> words) {
        Map<String, String> settings = new HashMap<>();
        for (String word : words) {
            settings.put(word.substring(0, word.indexOf('=')), word.substring(word.indexOf('=') + 1));
        }
        return settings;
    }

    static void make(Admin admin, List<String> words) throws Exception {
        NewTopic request = new NewTopic(words.get(0), Optional.of(Integer.parseInt(words.get(1))),
                                        Optional.empty());
        Map<String, String> settings = new HashMap<>(Map.of(
            "message.timestamp.after.max.ms", "" + Long.MAX_VALUE, "retention.ms", "-1"));
        settings.putAll(settings(words.subList(2, words.size())));
        settings.values().removeIf(String::isEmpty);
        request.configs(settings);
        request(admin, request);
        while (!isSeen(admin, words.get(0), Integer.parseInt(words.get(1)))) {
            Thread.sleep(20);
        }
    }

    static void grow(Admin admin, String topic, int partitions) throws Exception {
        admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(partitions))).all().get();
        while (!isSeen(admin, topic, partitions)) {
            Thread.sleep(20);
        }
    }

    static void set(Admin admin, List<String> words) throws Exception {
        List<AlterConfigOp> changes = new ArrayList<>();
        settings(words.subList(1, words.size())).forEach((name, value) -> changes.add(
            new AlterConfigOp(new ConfigEntry(name, value), AlterConfigOp.OpType.SET)));
        ConfigResource topic = new ConfigResource(ConfigResource.Type.TOPIC, words.get(0));
        admin.incrementalAlterConfigs(Map.of(topic, changes)).all().get();
        // The answer comes before the broker shows it.
        while (true) {
            Config shown = admin.describeConfigs(List.of(topic)).all().get().get(topic);
            if (changes.stream().map(AlterConfigOp::configEntry)
                    .allMatch(entry -> entry.value().equals(shown.get(entry.name()).value()))) {
                return;
            }
            Thread.sleep(20);
        }
    }

    /* Likewise: a change of the policy that forbids it may have been shown, and not yet be obeyed. */
    static void trim(Admin admin, TopicPartition partition, long offset) throws Exception {
        for (int tries = 1;; tries++) {
            try {
                admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(offset))).all().get();
                return;
            } catch (ExecutionException refused) {
                if (!(refused.getCause() instanceof PolicyViolationException) || tries == 100) {
                    throw refused;
                }
                Thread.sleep(100);
            }
        }
    }

    static byte[] bytes(String hex) {
        return hex.equals("-") ? null : HexFormat.of().parseHex(hex);
    }

    static String hex(byte[] bytes) {
        return bytes == null ? "-" : HexFormat.of().formatHex(bytes);
    }

    static void send(KafkaProducer<byte[], byte[]> producer, String file) throws Exception {
        List<java.util.concurrent.Future<RecordMetadata>> sent = new ArrayList<>();
        for (String line : Files.readAllLines(Path.of(file))) {
            String[] at = line.split("\t", -1);
            ProducerRecord<byte[], byte[]> record = new ProducerRecord<>(
                at[0], Integer.parseInt(at[1]), at[2].equals("-") ? null : Long.valueOf(at[2]),
                bytes(at[3]), bytes(at[4]));
            for (String header : at[5].isEmpty() ? new String[0] : at[5].split(",")) {
                int equals = header.indexOf('=');
                record.headers().add(header.substring(0, equals), bytes(header.substring(equals + 1)));
            }
            sent.add(producer.send(record));
        }
        producer.flush();
        for (java.util.concurrent.Future<RecordMetadata> one : sent) {
            one.get();
        }
    }

    static String line(ConsumerRecord<byte[], byte[]> record) {
        StringJoiner headers = new StringJoiner(",");
        record.headers().forEach(h -> headers.add(h.key() + "=" + hex(h.value())));
        return record.topic() + '\t' + record.partition() + '\t' + record.offset() + '\t' +
               record.timestamp() + '\t' + hex(record.key()) + '\t' + hex(record.value()) + '\t' +
               headers + '\n';
    }

    static void read(String servers, List<String> topics) throws Exception {
        StringBuilder out = new StringBuilder();
        each(servers, topics, record -> out.append(line(record)));
        System.out.print(out);
    }

    static void records(String servers, String directory, List<String> topics) throws Exception {
        Files.createDirectories(Path.of(directory));
        for (String topic : topics) {
            try (Writer out = Files.newBufferedWriter(Path.of(directory, topic))) {
                each(servers, List.of(topic), record -> out.write(line(record)));
            }
        }
    }

    static void empty(String servers, List<String> topics) throws Exception {
        try (Admin admin = Admin.create(asking(servers))) {
            for (var topic : admin.describeTopics(topics).allTopicNames().get().values()) {
                for (int partition = 0; partition < topic.partitions().size(); partition++) {
                    trim(admin, new TopicPartition(topic.name(), partition), -1); // Its end.
                }
            }
        }
    }

    /* As of transactions that are decided: those whose commit was answered count in any case. */
    static void offsets(Admin admin, String group) throws Exception {
        ListConsumerGroupOffsetsOptions stable = new ListConsumerGroupOffsetsOptions().requireStable(true);
        admin.listConsumerGroupOffsets(group, stable).partitionsToOffsetAndMetadata().get().forEach(
            (partition, offset) -> System.out.println(partition.topic() + "\t" +
                partition.partition() + "\t" + (offset == null ? -1 : offset.offset()) + "\t" +
                (offset == null ? "" : offset.metadata())));
    }

    static void obey(String servers, Admin admin, KafkaProducer<byte[], byte[]> producer,
                     List<String> words) throws Exception {
        List<String> rest = words.subList(1, words.size());
        switch (words.get(0)) {
        case "make" -> make(admin, rest);
        case "delete" -> delete(servers, rest);
        case "grow" -> grow(admin, rest.get(0), Integer.parseInt(rest.get(1)));
        case "set" -> set(admin, rest);
        case "trim" -> trim(admin, new TopicPartition(rest.get(0), Integer.parseInt(rest.get(1))),
                            Long.parseLong(rest.get(2)));
        case "send" -> send(producer, rest.get(0));
        case "read" -> read(servers, rest);
        case "offsets" -> offsets(admin, rest.get(0));
        case "forget" -> admin.deleteConsumerGroups(rest).all().get();
        default -> throw new IllegalArgumentException(words.get(0));
        }
    }

    static KafkaProducer<byte[], byte[]> sender(String servers) {
        Properties properties = producing(servers);
        properties.put("max.request.size", "8000000");
        properties.put("linger.ms", "5");
        return new KafkaProducer<>(properties, new ByteArraySerializer(), new ByteArraySerializer());
    }

    static void shell(String servers) throws Exception {
        KafkaProducer<byte[], byte[]> producer = sender(servers);
        try (Admin admin = Admin.create(asking(servers));
             BufferedReader in = new BufferedReader(new InputStreamReader(System.in))) {
            for (String line; (line = in.readLine()) != null;) {
                try {
                    List<String> words = Arrays.asList(line.split("\t"));
                    obey(servers, admin, producer, words);
                    if (words.get(0).equals("delete") || words.get(0).equals("grow")) {
                        forgetReaders();
                    }
                    if (words.get(0).equals("delete")) {
                        // One that knew a topic may wait for the old one when it is made again.
                        producer.close();
                        producer = sender(servers);
                    }
                    System.out.println("ok");
                } catch (Exception failure) {
                    System.out.println("error: " + failure);
                }
                System.out.flush();
            }
        } finally {
            producer.close();
        }
    }

    static String printable(byte[] key) {
        for (byte b : key) {
            if (b < 32 || b > 126) {
                return HexFormat.of().formatHex(key);
            }
        }
        return new String(key, StandardCharsets.US_ASCII);
    }

    public static void main(String[] arguments) throws Exception {
        List<String> rest = Arrays.asList(arguments).subList(2, arguments.length);
        String servers = arguments[0];
        switch (arguments[1]) {
        case "create" -> create(servers, rest);
        case "load" -> load(servers, rest.get(0), rest.subList(1, rest.size()), false);
        case "loadavro" -> load(servers, rest.get(0), rest.subList(1, rest.size()), true);
        case "dump" -> dump(servers, rest.get(0), rest.subList(1, rest.size()));
        case "records" -> records(servers, rest.get(0), rest.subList(1, rest.size()));
        case "delete" -> delete(servers, rest);
        case "trim" -> empty(servers, rest);
        case "shell" -> shell(servers);
        default -> throw new IllegalArgumentException(arguments[1]);
        }
    }
}
