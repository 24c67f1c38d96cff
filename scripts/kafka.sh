#!/usr/bin/env bash
# Apache Kafka on this machine for tests and for use by hand, without Docker: KRaft mode, loopback only.
#   scripts/kafka.sh start [--brokers 1|3] [--secure]   waits until the brokers answer; prints bootstrap.servers
#   scripts/kafka.sh stop                    a clean shutdown; the data stays
#   scripts/kafka.sh kill [N]                kill -9 of broker N, or of all
#   scripts/kafka.sh restart [N]             starts again what stop or kill ended
#   scripts/kafka.sh wipe                    stops, and removes the data
#   scripts/kafka.sh classpath               of Kafka's own tools, fetched when it is missing
# Needs java (17 or newer), and mvn the first time. Data, logs and jars lie in NUDGE_KAFKA_DIR, by
# default nudge-kafka in the temporary folder; the brokers listen on NUDGE_KAFKA_PORT (29092) and
# up, their controllers ten ports above. Twenty above is a second listener that tells clients to come
# to thirty above, where a test may put a proxy. NUDGE_KAFKA_HEAP (512m) is a broker's heap,
# NUDGE_KAFKA_JVM (-XX:+UseSerialGC) what else its JVM is told.
set -euo pipefail

version=${NUDGE_KAFKA_VERSION:-4.1.1}
dir=${NUDGE_KAFKA_DIR:-${TMPDIR:-/tmp}/nudge-kafka}
port=${NUDGE_KAFKA_PORT:-29092}
secure=0
jars=${NUDGE_KAFKA_JARS:-${TMPDIR:-/tmp}/nudge-kafka-jars-$version}

fetch_jars() {
    [ -f "$jars/.complete" ] && return
    command -v mvn >/dev/null || { echo "kafka.sh: mvn is needed to fetch Kafka" >&2; exit 3; }
    mkdir -p "$jars"
    # One at a time: who comes second finds them.
    exec 9>"$jars/.lock"
    flock 9
    [ -f "$jars/.complete" ] || download_jars
    exec 9>&-
}

download_jars() {
    local tries
    cat >"$jars/pom.xml" <<POM
<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>nudge</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka-tools</artifactId><version>$version</version></dependency>
  </dependencies>
</project>
POM
    for ((tries = 1; ; tries++)); do
        mvn -q -B -f "$jars/pom.xml" dependency:copy-dependencies -DoutputDirectory="$jars/lib" \
            -DincludeScope=runtime >&2 && break
        [ "$tries" -lt 3 ] || exit 1
        sleep 5
    done
    cat >"$jars/log4j2.xml" <<'XML'
<Configuration status="ERROR"><Appenders><Console name="C" target="SYSTEM_OUT"><PatternLayout pattern="%d{HH:mm:ss.SSS} %p %c{1} %m%n"/></Console></Appenders>
<Loggers><Root level="WARN"><AppenderRef ref="C"/></Root></Loggers></Configuration>
XML
    touch "$jars/.complete"
}


broker_port() { echo $((port + $1 - 1)); }
controller_port() { echo $((port + 10 + $1 - 1)); }

write_properties() {
    local id=$1 count=$2 replicas=$2 voters='' i
    for ((i = 1; i <= count; i++)); do
        voters+="${voters:+,}$i@127.0.0.1:$(controller_port "$i")"
    done
    local more='' protocols=''
    if [ "$secure" = 1 ]; then
        more=",TLS://127.0.0.1:$((port + 40)),MUTUAL://127.0.0.1:$((port + 41)),SASLTLS://127.0.0.1:$((port + 42)),SASL://127.0.0.1:$((port + 43))"
        protocols=,TLS:SSL,MUTUAL:SSL,SASLTLS:SASL_SSL,SASL:SASL_PLAINTEXT
    fi
    cat >"$dir/$id/server.properties" <<PROPERTIES
process.roles=broker,controller
node.id=$id
controller.quorum.voters=$voters
listeners=PLAINTEXT://127.0.0.1:$(broker_port "$id"),PROXIED://127.0.0.1:$((port + 19 + id)),CONTROLLER://127.0.0.1:$(controller_port "$id")$more
advertised.listeners=PLAINTEXT://127.0.0.1:$(broker_port "$id"),PROXIED://127.0.0.1:$((port + 29 + id))$more
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT$protocols
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs=$dir/$id/data
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=4
default.replication.factor=$replicas
offsets.topic.replication.factor=$replicas
offsets.topic.num.partitions=3
transaction.state.log.replication.factor=$replicas
transaction.state.log.min.isr=$((replicas > 1 ? 2 : 1))
transaction.state.log.num.partitions=3
min.insync.replicas=$((replicas > 1 ? 2 : 1))
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.retention.ms=-1
log.segment.delete.delay.ms=1000
controlled.shutdown.max.retries=1
PROPERTIES
    if [ "$secure" = 1 ]; then write_security >>"$dir/$id/server.properties"; fi
}

write_security() {
    local listener
    cat <<PROPERTIES
ssl.keystore.type=PKCS12
ssl.keystore.location=$dir/tls/broker.p12
ssl.keystore.password=store-secret
ssl.truststore.type=PEM
ssl.truststore.location=$dir/tls/ca.pem
listener.name.mutual.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
PROPERTIES
    for listener in sasltls sasl; do
        cat <<PROPERTIES
listener.name.$listener.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_shop="shop-secret";
listener.name.$listener.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
listener.name.$listener.scram-sha-512.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required;
PROPERTIES
    done
}

# An authority of our own, a certificate for the broker's address and one for a client.
make_certificates() {
    local tls=$dir/tls name
    [ -f "$tls/broker.p12" ] && return
    command -v openssl >/dev/null || { echo "kafka.sh: openssl is needed" >&2; exit 3; }
    mkdir -p "$tls"
    (
        cd "$tls"
        exec 2>openssl.log
        openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=nudge-test-authority -keyout ca.key -out ca.pem
        for name in broker client; do
            openssl req -newkey rsa:2048 -nodes -subj "/CN=$name" -keyout "$name.plain" -out "$name.csr"
            printf 'subjectAltName=IP:127.0.0.1,DNS:localhost\n' >"$name.ext"
            openssl x509 -req -days 2 -in "$name.csr" -CA ca.pem -CAkey ca.key -CAcreateserial \
                -extfile "$name.ext" -out "$name.pem"
        done
        openssl pkcs12 -export -in broker.pem -inkey broker.plain -passout pass:store-secret -out broker.p12
        openssl rsa -aes256 -passout pass:key-secret -in client.plain -out client.key
        rm client.plain broker.plain
    )
}

is_running() { [ -f "$dir/$1/pid" ] && kill -0 "$(cat "$dir/$1/pid")" 2>/dev/null; }

launch() {
    local id=$1
    is_running "$id" && return
    # shellcheck disable=SC2086  # Several options.
    setsid nohup java "-Xms${NUDGE_KAFKA_HEAP:-512m}" "-Xmx${NUDGE_KAFKA_HEAP:-512m}" \
        ${NUDGE_KAFKA_JVM:--XX:+UseSerialGC} \
        -Dlog4j2.configurationFile="$jars/log4j2.xml" -cp "$jars/lib/*" \
        kafka.Kafka "$dir/$id/server.properties" >>"$dir/$id/broker.log" 2>&1 </dev/null &
    echo $! >"$dir/$id/pid"
}

await() {
    local id=$1 i
    for ((i = 0; i < 900; i++)); do
        if (echo >"/dev/tcp/127.0.0.1/$(broker_port "$id")") 2>/dev/null; then
            return
        fi
        is_running "$id" || { tail -20 "$dir/$id/broker.log" >&2; exit 1; }
        sleep 0.2
    done
    echo "kafka.sh: broker $id does not answer after 180 s" >&2
    exit 1
}

ids() { (cd "$dir" 2>/dev/null && ls -d [0-9]* 2>/dev/null) || true; }

start() {
    local count=$1 id
    command -v java >/dev/null || { echo "kafka.sh: java is needed" >&2; exit 3; }
    fetch_jars
    if [ "$secure" = 1 ]; then make_certificates; fi
    for ((id = 1; id <= count; id++)); do
        mkdir -p "$dir/$id"
        write_properties "$id" "$count"
        [ -d "$dir/$id/data" ] || format_data "$id"
    done
    restart
    local servers=''
    for ((id = 1; id <= count; id++)); do
        servers+="${servers:+,}127.0.0.1:$(broker_port "$id")"
    done
    echo "$servers"
}

format_data() {
    local users=()
    if [ "$secure" = 1 ]; then
        users=(--add-scram 'SCRAM-SHA-256=[name=shop,password=shop-secret]'
            --add-scram 'SCRAM-SHA-512=[name=shop,password=shop-secret]')
    fi
    java -Xmx128m -Dlog4j2.configurationFile="$jars/log4j2.xml" -cp "$jars/lib/*" \
        kafka.tools.StorageTool format -t nudgeAAAAAAAAAAAAAAAAA \
        -c "$dir/$1/server.properties" "${users[@]}" >"$dir/$1/format.log" 2>&1 ||
        { cat "$dir/$1/format.log" >&2; exit 1; }
}

restart() {
    local id
    for id in ${1:-$(ids)}; do launch "$id"; done
    for id in ${1:-$(ids)}; do await "$id"; done
}

end() {
    local signal=$1 id pid
    for id in ${2:-$(ids)}; do
        if is_running "$id"; then kill "-$signal" "$(cat "$dir/$id/pid")"; fi
    done
    for id in ${2:-$(ids)}; do
        pid=$(cat "$dir/$id/pid" 2>/dev/null) || continue
        for ((i = 0; i < 150; i++)); do
            kill -0 "$pid" 2>/dev/null || break
            sleep 0.1
        done
        kill -9 "$pid" 2>/dev/null || true
        rm -f "$dir/$id/pid"
    done
}

command=${1:-}
shift || true
case $command in
start)
    count=1
    while [ $# -gt 0 ]; do
        case $1 in
        --brokers) count=$2 && shift 2 ;;
        --secure) secure=1 && shift ;;
        *) echo "kafka.sh: $1: --brokers or --secure expected" >&2 && exit 2 ;;
        esac
    done
    start "$count"
    ;;
stop) end TERM "${1:-}" ;;
kill) end KILL "${1:-}" ;;
restart) restart "${1:-}" ;;
wipe)
    end KILL
    rm -rf "$dir"
    ;;
classpath)
    fetch_jars
    echo "$jars/lib/*"
    ;;
*)
    sed -n '2,/^set/p' "$0" | sed '$d; s/^# \{0,1\}//' >&2
    exit 2
    ;;
esac
