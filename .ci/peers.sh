# Installs the clients and servers that the interop tests compare Bellwether with, and exports where they are. Source it:
#
#   . .ci/peers.sh && go test -tags interop ./integration/
#
# Debian's packages come from apt (so this runs as root, or through sudo), Apache's newest from Maven Central into
# ${XDG_CACHE_HOME:-$HOME/.cache}/bellwether-ci. Quick when everything is there already; fails loudly when something
# cannot be had.
#
#   APACHE39_CP      class path of ZooKeeper 3.9: server, Java client, zkCli
#   APACHE38_CP      class path of Debian's ZooKeeper 3.8.0 (with Debian's security patches)
#   APACHE_OLD_CP    class path of an older ZooKeeper's server, another one each third time INTEROP_TURN is one more
#   APACHE_OLD       its version
#   CURATOR_CP       class path of Curator on ZooKeeper 3.9's client
#   CURATOR_TEST_CP  class path of Curator's servers for tests
#   CURATOR_SERVER_CP class path of Curator's discovery server, and of Jersey that runs it
#   CURATOR38_CP     class path of Debian's Curator on Debian's ZooKeeper client
#   KAZOO_PYTHON     the Python that has kazoo
#   PROMETHEUS       Debian's Prometheus
#   ETCD             etcd's server: Debian's, unless it is set already
#   ETCD_DRIVER      what .ci/peers/etcd does with etcd's client, a module of its own

peers_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
peers_cache=${XDG_CACHE_HOME:-$HOME/.cache}/bellwether-ci

peers_debian() { # package...: installs what is missing
  local p missing=()
  for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local sudo=
  [ "$(id -u)" = 0 ] || sudo=sudo
  echo "peers: installing ${missing[*]}"
  $sudo apt-get update -qq < /dev/null > /dev/null &&
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" < /dev/null > /dev/null || {
    echo "peers: apt could not install ${missing[*]}" >&2
    return 1
  }
}

# name [version]: copies the jars of .ci/peers/NAME/pom.xml into the cache, of that version if the pom leaves it open; sets $peers_jars to
# their class path
peers_maven() {
  local pom=$peers_root/.ci/peers/$1/pom.xml dir try
  dir=$peers_cache/$1-${2:+$2-}$(sha256sum < "$pom" | cut -c1-12)
  if [ ! -d "$dir" ]; then
    echo "peers: fetching the jars of $1 ${2:-}"
    mkdir -p "$peers_cache"
    for try in 1 2 3; do
      rm -rf "$dir.part"
      if mvn -B -q -f "$pom" ${2:+"-Dpeer.version=$2"} dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$dir.part" < /dev/null; then
        mv "$dir.part" "$dir"
        break
      fi
      echo "peers: try $try for the jars of $1 failed" >&2
    done
  fi
  [ -d "$dir" ] || return 1
  peers_jars=$(printf '%s:' "$dir"/*.jar)
  peers_jars=${peers_jars%:}
}

# builds .ci/peers/etcd into the cache; sets $peers_program to it
peers_etcd() {
  local source=$peers_root/.ci/peers/etcd
  peers_program=$peers_cache/etcd-$(cat "$source"/{main.go,go.mod,go.sum} | sha256sum | cut -c1-12)
  [ -x "$peers_program" ] && return 0
  echo "peers: building the driver of etcd"
  mkdir -p "$peers_cache"
  (cd "$source" && go build -o "$peers_program.part" .) && mv "$peers_program.part" "$peers_program"
}

peers_install() {
  peers_debian openjdk-17-jdk-headless maven gcc libc6-dev zookeeper libzookeeper-java libslf4j-java libzookeeper-mt-dev \
    python3-kazoo python3-pytest python3-mock python3-objgraph libcurator-client-java libcurator-framework-java libcurator-recipes-java libcurator-discovery-java \
    libguava-java libjackson2-databind-java prometheus etcd-server || return 1
  peers_maven zookeeper || return 1
  export APACHE39_CP=$peers_jars
  peers_maven curator || return 1
  export CURATOR_CP=$peers_jars
  peers_maven curator-test || return 1
  export CURATOR_TEST_CP=$peers_jars
  peers_maven curator-server || return 1
  export CURATOR_SERVER_CP=$peers_jars
  local java=/usr/share/java jar
  export APACHE38_CP=$java/zookeeper.jar:$java/zookeeper-jute.jar:$java/slf4j-simple.jar
  CURATOR38_CP=$APACHE38_CP
  for jar in curator-client curator-framework curator-recipes curator-x-discovery guava jackson-core jackson-databind jackson-annotations; do
    [ -f "$java/$jar.jar" ] || { echo "peers: $java/$jar.jar is missing" >&2; return 1; }
    CURATOR38_CP+=:$java/$jar.jar
  done
  export CURATOR38_CP KAZOO_PYTHON=/usr/bin/python3 PROMETHEUS=/usr/bin/prometheus ETCD=${ETCD:-/usr/bin/etcd}
  peers_etcd || return 1
  export ETCD_DRIVER=$peers_program
  local older=(3.5.10 3.6.4 3.7.2 3.8.0)
  export APACHE_OLD=${older[$((${INTEROP_TURN:-0} / 3 % ${#older[@]}))]} APACHE_OLD_CP=$APACHE38_CP
  if [ "$APACHE_OLD" != 3.8.0 ]; then # which is Debian's
    peers_maven zookeeper-old "$APACHE_OLD" || return 1
    APACHE_OLD_CP=$peers_jars
  fi
  "$KAZOO_PYTHON" -c 'import kazoo' || { echo "peers: $KAZOO_PYTHON has no kazoo" >&2; return 1; }
}

peers_install
