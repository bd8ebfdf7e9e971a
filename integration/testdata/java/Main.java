/** ZooKeeper's own Java client doing everything it offers; the argument is the server's host:port. */
public final class Main {
    private Main() {}

    public static void main(String[] args) throws Exception {
        String address = args[0];
        try (Client a = Client.connect("a", address); Client b = Client.connect("b", address)) {
            Transcript.line("sessions " + Transcript.session(a.zk.getSessionId()) + " " + Transcript.session(b.zk.getSessionId()));
            Nodes.run(a, b);
            Acls.run(a, b, address);
            Watches.run(a, b);
            Multis.run(a, b);
            Quotas.run(a);
        }
        Sessions.run(address);
        System.exit(0);
    }
}
