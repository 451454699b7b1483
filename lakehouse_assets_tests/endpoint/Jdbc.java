import java.math.BigDecimal;
import java.sql.*;
import java.util.Properties;
import java.util.StringJoiner;

/** A client of PostgreSQL's JDBC driver: prints what it reads, as DBeaver asks for it. */
public class Jdbc {
  static void print(String what, ResultSet rows, String... columns) throws SQLException {
    StringJoiner found = new StringJoiner(" ");
    while (rows.next()) {
      StringJoiner row = new StringJoiner("/");
      for (String column : columns) row.add(rows.getString(column));
      found.add(row.toString());
    }
    System.out.println(what + ": " + found);
  }

  public static void main(String[] arguments) throws Exception {
    Properties login = new Properties();
    login.put("user", "anna");
    login.put("password", arguments[1]);
    String address = "jdbc:postgresql://127.0.0.1:" + arguments[0] + "/lake";
    try (Connection client = DriverManager.getConnection(address, login)) {
      DatabaseMetaData lake = client.getMetaData();
      System.out.println(lake.getDatabaseProductName() + " " + lake.getDatabaseProductVersion()
          + " " + client.getCatalog());
      print("schemas", lake.getSchemas(), "TABLE_SCHEM");
      print("tables", lake.getTables(null, "shop", "%", new String[] {"TABLE", "VIEW"}),
          "TABLE_NAME", "TABLE_TYPE", "REMARKS");
      print("columns", lake.getColumns(null, "shop", "sales", "%"),
          "COLUMN_NAME", "TYPE_NAME", "IS_NULLABLE");
      ResultSet amount = lake.getColumns(null, "shop", "sales", "amount");
      amount.next();
      System.out.println("amount: " + amount.getInt("COLUMN_SIZE") + " "
          + amount.getInt("DECIMAL_DIGITS") + " " + amount.getString("REMARKS"));
      print("primary", lake.getPrimaryKeys(null, "shop", "sales"),
          "COLUMN_NAME", "KEY_SEQ", "PK_NAME");
      print("imported", lake.getImportedKeys(null, "shop", "sales"),
          "PKTABLE_NAME", "PKCOLUMN_NAME", "FKCOLUMN_NAME");
      print("exported", lake.getExportedKeys(null, "shop", "shops"),
          "FKTABLE_NAME", "FKCOLUMN_NAME");
      print("indexes", lake.getIndexInfo(null, "shop", "sales", true, true),
          "INDEX_NAME", "COLUMN_NAME");

      client.setAutoCommit(false);
      String query = "select sale_id, amount, note, day, sold_at from sales"
          + " where note like ? and sale_id >= ? and amount > ? and day = ? order by sale_id";
      BigDecimal[] sums = {BigDecimal.ZERO, BigDecimal.ZERO};
      int count = 0;
      try (PreparedStatement statement = client.prepareStatement(query)) {
        statement.setFetchSize(100);
        // The driver prepares on the server, and asks for binary values, after some repetitions.
        for (int time = 0; time < 7; time++) {
          statement.setString(1, "sale%");
          statement.setLong(2, 5);
          statement.setBigDecimal(3, new BigDecimal("0.01"));
          statement.setDate(4, Date.valueOf("2024-01-01"));
          ResultSet rows = statement.executeQuery();
          BigDecimal sum = BigDecimal.ZERO;
          count = 0;
          while (rows.next()) {
            count++;
            sum = sum.add(rows.getBigDecimal(2));
            if (rows.getLong(1) != count + 4) throw new IllegalStateException("order");
          }
          sums[time % 2] = sum;
        }
      }
      System.out.println("paged: " + count + " " + sums[0] + " " + sums[1]);
      ResultSetMetaData described =
          client.prepareStatement("select * from sales where sale_id > ?").getMetaData();
      System.out.println("described: " + described.getColumnCount() + " "
          + described.getColumnTypeName(3) + " " + described.getPrecision(3) + " "
          + described.getScale(3));
      try (PreparedStatement statement =
          client.prepareStatement("select count(*) from sales where note = any(?)")) {
        statement.setArray(1, client.createArrayOf("text", new String[] {"sale 7", "sale 8"}));
        ResultSet rows = statement.executeQuery();
        rows.next();
        System.out.println("arrays: " + rows.getLong(1));
      }
      client.commit();
      client.setAutoCommit(true);
      try (Statement statement = client.createStatement()) {
        statement.executeQuery("select nope from sales");
      } catch (SQLException error) {
        System.out.println("error: " + error.getSQLState());
      }
      try (Statement statement = client.createStatement()) {
        statement.setQueryTimeout(1);
        statement.executeQuery("select count(*) from sales a, sales b, sales c, sales d"
            + " where a.weight > b.weight");
      } catch (SQLException error) {
        System.out.println("time-out: " + error.getSQLState());
      }
      System.out.println("valid: " + client.isValid(5));
    }
  }
}
