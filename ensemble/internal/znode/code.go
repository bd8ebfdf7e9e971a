package znode

import "fmt"

// A Code is ZooKeeper's answer to a request: 0, or why it was refused (class KeeperException.Code). Every Code but CodeOK is an
// error that answers errors.Is.
type Code int32

// The codes a server sends.
const (
	CodeOK                       Code = 0
	CodeSystemError              Code = -1 // refused for a reason of the server's own; Apache's server never sends it
	CodeRuntimeInconsistency     Code = -2 // entries of a multi after the one that failed
	CodeMarshallingError         Code = -5
	CodeUnimplemented            Code = -6
	CodeBadArguments             Code = -8
	CodeNewConfigNoQuorum        Code = -13
	CodeReconfigInProgress       Code = -14
	CodeNoNode                   Code = -101
	CodeNoAuth                   Code = -102
	CodeBadVersion               Code = -103
	CodeNoChildrenForEphemerals  Code = -108
	CodeNodeExists               Code = -110
	CodeNotEmpty                 Code = -111
	CodeSessionExpired           Code = -112
	CodeInvalidACL               Code = -114
	CodeAuthFailed               Code = -115
	CodeSessionMoved             Code = -118 // never sent: the connection is closed instead
	CodeNotReadOnly              Code = -119
	CodeEphemeralOnLocalSession  Code = -120
	CodeNoWatcher                Code = -121
	CodeReconfigDisabled         Code = -123
	CodeSessionClosedRequireSASL Code = -124
	CodeQuotaExceeded            Code = -125
	CodeThrottledOp              Code = -127
)

var codeNames = map[Code]string{
	CodeOK:                       "ok",
	CodeSystemError:              "system error",
	CodeRuntimeInconsistency:     "runtime inconsistency",
	CodeMarshallingError:         "marshalling error",
	CodeUnimplemented:            "unimplemented",
	CodeBadArguments:             "bad arguments",
	CodeNewConfigNoQuorum:        "no quorum of new config is connected",
	CodeReconfigInProgress:       "reconfiguration in progress",
	CodeNoNode:                   "no node",
	CodeNoAuth:                   "not authorised",
	CodeBadVersion:               "bad version",
	CodeNoChildrenForEphemerals:  "ephemeral nodes may not have children",
	CodeNodeExists:               "node exists",
	CodeNotEmpty:                 "node has children",
	CodeSessionExpired:           "session expired",
	CodeInvalidACL:               "invalid ACL",
	CodeAuthFailed:               "authentication failed",
	CodeSessionMoved:             "session moved to another server",
	CodeNotReadOnly:              "server is read-only",
	CodeEphemeralOnLocalSession:  "ephemeral node on a local session",
	CodeNoWatcher:                "no such watcher",
	CodeReconfigDisabled:         "reconfiguration is disabled",
	CodeSessionClosedRequireSASL: "authentication required",
	CodeQuotaExceeded:            "quota exceeded",
	CodeThrottledOp:              "operation throttled",
}

func (c Code) String() string {
	if s, ok := codeNames[c]; ok {
		return s
	}
	return fmt.Sprintf("code %d", int32(c))
}

// Error makes a Code an error.
func (c Code) Error() string { return "zookeeper: " + c.String() }
