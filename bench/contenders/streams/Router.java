import java.io.ByteArrayOutputStream;
import java.io.File;
import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import javax.crypto.Mac;
import javax.crypto.spec.SecretKeySpec;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import org.apache.avro.io.BinaryDecoder;
import org.apache.avro.io.BinaryEncoder;
import org.apache.avro.io.DecoderFactory;
import org.apache.avro.io.EncoderFactory;
import org.apache.avro.util.Utf8;
import org.apache.kafka.common.header.Header;
import org.apache.kafka.common.header.Headers;
import org.apache.kafka.common.header.internals.RecordHeader;
import org.apache.kafka.common.header.internals.RecordHeaders;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;
import org.apache.kafka.common.serialization.Serializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.errors.StreamsUncaughtExceptionHandler.StreamThreadExceptionResponse;
import org.apache.kafka.streams.processor.TopicNameExtractor;
import org.apache.kafka.streams.processor.api.Processor;
import org.apache.kafka.streams.processor.api.ProcessorContext;
import org.apache.kafka.streams.processor.api.Record;

/**
 * The benchmark's router in Kafka Streams: filter by region, project, pseudonymise, mask, encode, send on with all headers.
 *
 * Written for speed, as an experienced team would: the Processor API without a state store, Avro read and written with the
 * binary coders and reused buffers (no generic record in between), texts passed on as UTF-8, one Mac per agreement and task.
 */
public final class Router {
    record Agreement(Header header, String topic, int schemaId, int shape, byte[] secret) {}

    record Delivery(String topic, byte[] value) {}

    public static void main(String[] arguments) throws Exception {
        JsonNode plan = new ObjectMapper().readTree(new File(arguments[0]));
        Map<String, List<Agreement>> agreements = new HashMap<>();
        for (JsonNode one : plan.get("agreements")) {
            String region = one.get("region").isNull() ? "" : one.get("region").asText();
            byte[] id = one.get("id").asText().getBytes(StandardCharsets.UTF_8);
            agreements.computeIfAbsent(region, ignored -> new ArrayList<>()).add(new Agreement(
                new RecordHeader("ce_agreement", id), one.get("topic").asText(), one.get("schema_id").asInt(),
                one.get("shape").asInt(), java.util.HexFormat.of().parseHex(one.get("secret").asText())));
        }
        Properties settings = new Properties();
        plan.get("streams").properties().forEach(entry -> settings.put(entry.getKey(), entry.getValue().asText()));
        TopicNameExtractor<byte[], Delivery> topic = (key, delivery, context) -> delivery.topic();
        Serializer<Delivery> bytes = (ignored, delivery) -> delivery.value();
        Topology topology = new Topology();
        topology.addSource("events", new ByteArrayDeserializer(), new ByteArrayDeserializer(), plan.get("topic").asText());
        topology.addProcessor("route", () -> new Route(agreements), "events");
        topology.addSink("deliveries", topic, new ByteArraySerializer(), bytes, "route");
        CountDownLatch ended = new CountDownLatch(1);
        KafkaStreams streams = new KafkaStreams(topology, settings);
        streams.setUncaughtExceptionHandler(error -> {
            error.printStackTrace();
            ended.countDown();
            return StreamThreadExceptionResponse.SHUTDOWN_CLIENT;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> streams.close(Duration.ofSeconds(10))));
        streams.start();
        ended.await();
        System.exit(1);
    }

    static final class Route implements Processor<byte[], byte[], byte[], Delivery> {
        private static final byte[] HEX = "0123456789abcdef".getBytes(StandardCharsets.US_ASCII);
        private static final int FRAME = 5;

        private final Map<Utf8, List<Agreement>> byRegion = new HashMap<>();
        private final List<Agreement> always;
        private final Map<Agreement, Mac> macs = new HashMap<>();
        private final ByteArrayOutputStream out = new ByteArrayOutputStream(16_384);
        private final List<Utf8> pages = new ArrayList<>();
        private final Utf8 number = new Utf8(), region = new Utf8(), identity = new Utf8(), name = new Utf8();
        private final Utf8 creditCode = new Utf8(), office = new Utf8(), address = new Utf8(), remark = new Utf8();
        private int sex, birthDate, pageCount;
        private long recordedAt;
        private byte[] masked;
        private BinaryDecoder decoder;
        private BinaryEncoder encoder;
        private ProcessorContext<byte[], Delivery> context;

        Route(Map<String, List<Agreement>> agreements) {
            agreements.forEach((where, list) -> byRegion.put(new Utf8(where), list));
            always = agreements.getOrDefault("", List.of());
        }

        @Override
        public void init(ProcessorContext<byte[], Delivery> context) {
            this.context = context;
        }

        @Override
        public void process(Record<byte[], byte[]> event) {
            try {
                read(event.value());
                masked = null;
                deliver(event, always);
                List<Agreement> matching = byRegion.get(region);
                if (matching != null) {
                    deliver(event, matching);
                }
            } catch (IOException error) {
                throw new IllegalArgumentException("an event is not the contract's", error);
            }
        }

        private void read(byte[] value) throws IOException {
            decoder = DecoderFactory.get().binaryDecoder(value, FRAME, value.length - FRAME, decoder);
            decoder.readString(number);
            decoder.readString(region);
            decoder.readString(identity);
            decoder.readString(name);
            sex = decoder.readEnum();
            birthDate = decoder.readInt();
            decoder.readString(creditCode);
            decoder.readString(office);
            decoder.readString(address);
            recordedAt = decoder.readLong();
            decoder.readString(remark);
            pageCount = 0;
            for (long block = decoder.readArrayStart(); block != 0; block = decoder.arrayNext()) {
                for (long i = 0; i < block; i++, pageCount++) {
                    if (pages.size() == pageCount) {
                        pages.add(new Utf8());
                    }
                    decoder.readString(pages.get(pageCount));
                }
            }
        }

        private void deliver(Record<byte[], byte[]> event, List<Agreement> agreements) throws IOException {
            for (Agreement agreement : agreements) {
                byte[] value = encode(agreement);
                Headers headers = new RecordHeaders(event.headers().toArray());
                headers.add(agreement.header());
                context.forward(new Record<>(event.key(), new Delivery(agreement.topic(), value), event.timestamp(), headers));
            }
        }

        private byte[] encode(Agreement agreement) throws IOException {
            out.reset();
            out.write(0);
            out.writeBytes(ByteBuffer.allocate(4).putInt(agreement.schemaId()).array());
            encoder = EncoderFactory.get().binaryEncoder(out, encoder);
            encoder.writeString(number);
            if (agreement.shape() == 1) {
                encoder.writeString(creditCode);
                encoder.writeString(office);
            } else {
                encoder.writeString(region);
            }
            encoder.writeBytes(pseudonym(agreement));
            encoder.writeBytes(mask());
            switch (agreement.shape()) {
                case 0 -> encoder.writeInt(birthDate);
                case 1 -> encoder.writeString(address);
                default -> {
                    encoder.writeEnum(sex);
                    encoder.writeString(office);
                }
            }
            encoder.writeLong(recordedAt);
            encoder.writeString(remark);
            encoder.writeArrayStart();
            encoder.setItemCount(pageCount);
            for (int i = 0; i < pageCount; i++) {
                encoder.startItem();
                encoder.writeString(pages.get(i));
            }
            encoder.writeArrayEnd();
            encoder.flush();
            return out.toByteArray();
        }

        private byte[] pseudonym(Agreement agreement) {
            Mac mac = macs.computeIfAbsent(agreement, Route::newMac);
            mac.update(identity.getBytes(), 0, identity.getByteLength());
            byte[] digest = mac.doFinal();
            byte[] text = new byte[2 * digest.length];
            for (int i = 0; i < digest.length; i++) {
                text[2 * i] = HEX[digest[i] >> 4 & 0xF];
                text[2 * i + 1] = HEX[digest[i] & 0xF];
            }
            return text;
        }

        private static Mac newMac(Agreement agreement) {
            try {
                Mac mac = Mac.getInstance("HmacSHA256");
                mac.init(new SecretKeySpec(agreement.secret(), "HmacSHA256"));
                return mac;
            } catch (java.security.GeneralSecurityException error) {
                throw new IllegalStateException(error);
            }
        }

        /** The first character and a star for each further one; the same for all agreements, so made once per event. */
        private byte[] mask() {
            if (masked == null) {
                byte[] text = name.getBytes();
                int length = name.getByteLength(), characters = 0, first = length;
                for (int i = 0; i < length; i++) {
                    if ((text[i] & 0xC0) != 0x80 && ++characters == 2) {
                        first = i;
                    }
                }
                if (characters < 2) {
                    masked = "*".repeat(characters).getBytes(StandardCharsets.US_ASCII);
                } else {
                    masked = Arrays.copyOf(text, first + characters - 1);
                    Arrays.fill(masked, first, masked.length, (byte) '*');
                }
            }
            return masked;
        }
    }
}
