import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.util.ArrayList;
import java.util.List;

/** A way to the server that can be cut and opened again, so that a session loses its connection and nothing else. */
final class Proxy {
    private final ServerSocket listener;
    private final String host;
    private final int port;
    private final List<Socket> sockets = new ArrayList<>();
    private boolean open = true;

    Proxy(String address) throws IOException {
        host = address.substring(0, address.lastIndexOf(':'));
        port = Integer.parseInt(address.substring(address.lastIndexOf(':') + 1));
        listener = new ServerSocket(0, 50, InetAddress.getByName("127.0.0.1"));
        start(this::accept);
    }

    String address() {
        return "127.0.0.1:" + listener.getLocalPort();
    }

    /** Closes every connection and refuses new ones until mend. */
    synchronized void cut() {
        open = false;
        for (Socket s : sockets) {
            close(s);
        }
        sockets.clear();
    }

    synchronized void mend() {
        open = true;
    }

    private void accept() {
        try {
            for (;;) {
                join(listener.accept());
            }
        } catch (IOException closed) {
            cut();
        }
    }

    private synchronized void join(Socket client) {
        if (!open) {
            close(client);
            return;
        }
        try {
            Socket server = new Socket(host, port);
            sockets.add(client);
            sockets.add(server);
            start(() -> copy(client, server));
            start(() -> copy(server, client));
        } catch (IOException refused) {
            close(client);
        }
    }

    private static void copy(Socket from, Socket to) {
        byte[] buffer = new byte[65536];
        try {
            InputStream in = from.getInputStream();
            OutputStream out = to.getOutputStream();
            for (int n = in.read(buffer); n >= 0; n = in.read(buffer)) {
                out.write(buffer, 0, n);
            }
        } catch (IOException gone) {
            // The other direction ends by the closing below.
        }
        close(from);
        close(to);
    }

    private static void close(Socket s) {
        try {
            s.close();
        } catch (IOException ignored) {
            // There is nothing left to lose.
        }
    }

    private static void start(Runnable r) {
        Thread t = new Thread(r);
        t.setDaemon(true);
        t.start();
    }
}
