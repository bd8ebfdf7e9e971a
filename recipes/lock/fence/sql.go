package fence

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
)

// Execer is what Exec needs of a database, a connection, or a transaction.
type Execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// Exec executes a statement that changes something if its token is not older than what is there, and fails with ErrStale if it has changed
// nothing. The statement has to compare and to set the token itself, and its row has to exist, as that of a row that does not is no other
// answer. A driver that counts only rows with other values than before, as MySQL's does unless it is told clientFoundRows, needs a
// statement that always changes one, such as a counter.
func Exec(ctx context.Context, db Execer, query string, args ...any) error {
	n, err := affected(db.ExecContext(ctx, query, args...))
	if err == nil && n == 0 {
		return ErrStale
	}
	return err
}

func affected(r sql.Result, err error) (int64, error) {
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

// Table is a table with a row for each resource: the greatest token that was seen, and how often. Its statements are plain SQL, for
// PostgreSQL, MySQL, SQLite and others.
type Table struct {
	// Name is the table's, as it stands in a statement; it is not quoted. Default: fencing_tokens.
	Name string
	// Numbered says that parameters are written $1, $2, … as in PostgreSQL. Default: each is a question mark.
	Numbered bool
}

// Create makes the table if there is none.
func (t Table) Create(ctx context.Context, db Execer) error {
	_, err := db.ExecContext(ctx, t.statement(
		"CREATE TABLE IF NOT EXISTS %s (resource VARCHAR(255) NOT NULL PRIMARY KEY, token BIGINT NOT NULL, uses BIGINT NOT NULL)"))
	return err
}

// Check raises a resource's token in a transaction, and fails with ErrStale if a greater one was seen; the transaction has to be rolled back
// then. To be done first in it: what follows is fenced, since the row stays locked until the end, and a newer holder's Check waits for
// that. It may also fail because another transaction was faster, as any statement may, and nothing is known of the token then.
func (t Table) Check(ctx context.Context, tx *sql.Tx, resource string, token int64) error {
	// The uses make it a change even if the token is the same, for drivers that count only changes.
	n, err := affected(tx.ExecContext(ctx, t.statement("UPDATE %s SET token = ?, uses = uses + 1 WHERE resource = ? AND token <= ?"), token, resource, token))
	if err != nil || n > 0 {
		return err
	}
	var one int
	err = tx.QueryRowContext(ctx, t.statement("SELECT 1 FROM %s WHERE resource = ?"), resource).Scan(&one)
	switch {
	case err == nil:
		return ErrStale
	case !errors.Is(err, sql.ErrNoRows):
		return err
	}
	// If another transaction does the same at this moment, one of them fails with a key that is there already.
	_, err = tx.ExecContext(ctx, t.statement("INSERT INTO %s (resource, token, uses) VALUES (?, ?, 1)"), resource, token)
	return err
}

// statement puts the name of the table in, and writes its parameters as the database wants them.
func (t Table) statement(text string) string {
	name := t.Name
	if name == "" {
		name = "fencing_tokens"
	}
	text = fmt.Sprintf(text, name)
	for n := 1; t.Numbered && strings.Contains(text, "?"); n++ {
		text = strings.Replace(text, "?", fmt.Sprintf("$%d", n), 1)
	}
	return text
}

// In returns a Store that keeps the tokens of a Handler in this table.
func (t Table) In(db *sql.DB) Store { return rows{t, db} }

type rows struct {
	table Table
	db    *sql.DB
}

// Raise is Store's.
func (r rows) Raise(ctx context.Context, resource string, token int64) error {
	tx, err := r.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	if err := r.table.Check(ctx, tx, resource, token); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}
