import java.io.ByteArrayInputStream;
import java.io.FileInputStream;
import java.io.SequenceInputStream;
import java.io.UncheckedIOException;
import java.io.IOException;
import java.io.InputStream;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublisher;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.io.PrintStream;
import java.util.List;
import java.util.Collections;

/**
 * Sends files with Java's HttpClient: {@code java Send.java < JOBS}.
 *
 * A job is a line of a kind (form, put, stream), an address, a key, a path and a file name, with tabs between. Each gets a line:
 * the status and the body of the answer, or the error.
 */
public class Send {
    private static final String BOUNDARY = "----------------------------4f8a2c1e9b7d";

    public static void main(String[] arguments) throws Exception {
        HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
        PrintStream output = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        String jobs = new String(System.in.readAllBytes(), StandardCharsets.UTF_8);
        for (String line : jobs.lines().toList()) {
            String[] job = line.split("\t", -1);
            String told;
            try {
                HttpRequest.Builder request = HttpRequest.newBuilder(URI.create(job[1])).header("X-API-Key", job[2]);
                Path path = Path.of(job[3]);
                if (job[0].equals("form")) {
                    request.header("Content-Type", "multipart/form-data; boundary=" + BOUNDARY).POST(form(path, job[4]));
                } else if (job[0].equals("put")) {
                    request.PUT(BodyPublishers.ofFile(path));
                } else {
                    request.PUT(BodyPublishers.ofInputStream(() -> open(path)));
                }
                var answer = client.send(request.build(), BodyHandlers.ofString());
                told = answer.statusCode() + " " + answer.body();
            } catch (Exception error) {
                told = "failed " + error;
            }
            output.println(told.replaceAll("\\s+", " ").trim());
        }
    }

    private static InputStream open(Path path) {
        try {
            return new FileInputStream(path.toFile());
        } catch (IOException error) {
            throw new UncheckedIOException(error);
        }
    }

    /** Java has no forms of its own: the name is escaped as browsers do. */
    private static BodyPublisher form(Path path, String name) throws IOException {
        String head = "--" + BOUNDARY + "\r\nContent-Disposition: form-data; name=\"file\"; filename=\""
            + name.replace("\"", "%22") + "\"\r\nContent-Type: application/octet-stream\r\n\r\n";
        byte[] before = head.getBytes(StandardCharsets.UTF_8);
        byte[] behind = ("\r\n--" + BOUNDARY + "--\r\n").getBytes(StandardCharsets.UTF_8);
        long length = before.length + path.toFile().length() + behind.length;
        BodyPublisher whole = BodyPublishers.ofInputStream(() -> new SequenceInputStream(Collections.enumeration(
            List.of(new ByteArrayInputStream(before), open(path), new ByteArrayInputStream(behind)))));
        return BodyPublishers.fromPublisher(whole, length);
    }
}
