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
import org.apache.kafka.common.serialization.*;

/**
 * Apache's own clients, for tests. Run from source:
 *   java -cp "$(scripts/kafka.sh classpath)" test/integration/KafkaTool.java SERVERS COMMAND ...
 *     create TOPIC PARTITIONS       a topic for events
 *     load TOPIC FILE...            the lines of the n-th file into partition n
 *     loadavro TOPIC FILE...        likewise; u32 little-endian length and bytes, record by record
 *     dump DIR TOPIC...             what readers of committed records see, as DIR/TOPIC-PARTITION:
 *                                   a line a record: key, time stamp, value, with tabs between
 *     delete TOPIC...
 */
public class KafkaTool {
    static Properties properties(String servers) {
        Properties properties = new Properties();
        properties.put("bootstrap.servers", servers);
        return properties;
    }

    static void create(String servers, String topic, int partitions) throws Exception {
        try (Admin admin = Admin.create(properties(servers))) {
            NewTopic request = new NewTopic(topic, Optional.of(partitions), Optional.empty());
            request.configs(Map.of("message.timestamp.after.max.ms", "" + Long.MAX_VALUE,
                                   "retention.ms", "-1"));
            admin.createTopics(List.of(request)).all().get();
            while (!isSeen(admin, topic, partitions)) {
                Thread.sleep(50);
            }
        }
    }

    /* The answer to the request comes before the brokers' metadata shows the topic. */
    static boolean isSeen(Admin admin, String topic, int partitions) throws Exception {
        try {
            return admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic)
                       .partitions().size() == partitions;
        } catch (ExecutionException unknown) {
            return false;
        }
    }

    static void delete(String servers, List<String> topics) throws Exception {
        try (Admin admin = Admin.create(properties(servers))) {
            Set<String> present = admin.listTopics().names().get();
            List<String> found = new ArrayList<>(topics);
            found.retainAll(present);
            admin.deleteTopics(found).all().get();
            for (String topic : found) {
                while (admin.listTopics().names().get().contains(topic)) {
                    Thread.sleep(50);
                }
            }
        }
    }

    static void load(String servers, String topic, List<String> files, boolean framed)
            throws Exception {
        Properties properties = properties(servers);
        properties.put("linger.ms", "20");
        properties.put("batch.size", "262144");
        try (KafkaProducer<byte[], byte[]> producer = new KafkaProducer<>(
                 properties, new ByteArraySerializer(), new ByteArraySerializer())) {
            for (int partition = 0; partition < files.size(); partition++) {
                try (DataInputStream in = new DataInputStream(new BufferedInputStream(
                         new FileInputStream(files.get(partition)), 1 << 20))) {
                    for (byte[] record; (record = framed ? frame(in) : line(in)) != null;) {
                        producer.send(new ProducerRecord<>(topic, partition, null, record));
                    }
                }
            }
            producer.flush();
        }
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

    static void dump(String servers, String directory, List<String> topics) throws Exception {
        Properties properties = properties(servers);
        properties.put("isolation.level", "read_committed");
        properties.put("enable.auto.commit", "false");
        properties.put("max.poll.records", "5000");
        Files.createDirectories(Path.of(directory));
        try (KafkaConsumer<byte[], byte[]> consumer = new KafkaConsumer<>(
                 properties, new ByteArrayDeserializer(), new ByteArrayDeserializer())) {
            List<TopicPartition> partitions = new ArrayList<>();
            for (String topic : topics) {
                consumer.partitionsFor(topic).forEach(
                    info -> partitions.add(new TopicPartition(topic, info.partition())));
            }
            consumer.assign(partitions);
            consumer.seekToBeginning(partitions);
            Map<TopicPartition, Long> ends = consumer.endOffsets(partitions);
            Map<TopicPartition, OutputStream> files = new HashMap<>();
            for (TopicPartition partition : partitions) {
                files.put(partition, new BufferedOutputStream(new FileOutputStream(
                    directory + "/" + partition.topic() + "-" + partition.partition())));
            }
            while (partitions.stream().anyMatch(p -> consumer.position(p) < ends.get(p))) {
                for (ConsumerRecord<byte[], byte[]> record :
                     consumer.poll(Duration.ofMillis(200))) {
                    OutputStream file =
                        files.get(new TopicPartition(record.topic(), record.partition()));
                    String head = (record.key() == null ? "" : printable(record.key())) + "\t" +
                                  record.timestamp() + "\t";
                    file.write(head.getBytes(StandardCharsets.UTF_8));
                    file.write(record.value() == null ? new byte[0] : record.value());
                    file.write('\n');
                }
            }
            for (OutputStream file : files.values()) {
                file.close();
            }
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
        case "create" -> create(servers, rest.get(0), Integer.parseInt(rest.get(1)));
        case "load" -> load(servers, rest.get(0), rest.subList(1, rest.size()), false);
        case "loadavro" -> load(servers, rest.get(0), rest.subList(1, rest.size()), true);
        case "dump" -> dump(servers, rest.get(0), rest.subList(1, rest.size()));
        case "delete" -> delete(servers, rest);
        default -> throw new IllegalArgumentException(arguments[1]);
        }
    }
}
