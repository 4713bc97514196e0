import java.io.InputStream;
import java.io.OutputStream;
import java.net.HttpURLConnection;
import java.net.URI;
import java.util.Base64;
import java.util.Scanner;

/** Sends uploads with HttpURLConnection. Each line of its input: URL, user:password or -, size, whether chunked. */
public class Put {
    public static void main(String[] arguments) {
        Scanner jobs = new Scanner(System.in);
        while (jobs.hasNext()) {
            try {
                System.out.println(put(jobs.next(), jobs.next(), jobs.nextLong(), jobs.nextBoolean()));
            } catch (Exception error) {
                System.out.println(error);
            }
        }
    }

    private static String put(String url, String user, long size, boolean chunked) throws Exception {
        HttpURLConnection connection = (HttpURLConnection) URI.create(url).toURL().openConnection();
        connection.setRequestMethod("PUT");
        connection.setDoOutput(true);
        if (!user.equals("-")) {
            connection.setRequestProperty("Authorization", "Basic " + Base64.getEncoder().encodeToString(user.getBytes()));
        }
        if (chunked) {
            connection.setChunkedStreamingMode(1 << 16);
        } else {
            connection.setFixedLengthStreamingMode(size);
        }
        byte[] piece = new byte[1 << 16];
        try (OutputStream out = connection.getOutputStream()) {
            for (long left = size; left > 0; left -= piece.length) {
                out.write(piece, 0, (int) Math.min(left, piece.length));
            }
        }
        InputStream text = connection.getResponseCode() < 400 ? connection.getInputStream() : connection.getErrorStream();
        return connection.getResponseCode() + " " + (text == null ? "" : new String(text.readAllBytes()).trim());
    }
}
