> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> PROPOSAL 1:2
  abandon: packet that has no place here (transaction before synchronisation)
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 2:0 text=ab
  abandon: malformed packet (LEADERINFO)
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> LEADERINFO 0x80000000:0
  abandon: no higher epoch exists
> learner 2 of=1,2,3 accepted=1 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 1:0
> MYSTERY
  nothing
> REQUEST
  abandon: packet that has no place here (REQUEST)
> learner 2 of=1,2,3 accepted=2 current=1 last=1:1
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:1 epoch=-1
> TRUNC 1:2
  abandon: packet that has no place here (TRUNC that does not fit 0x100000001)
> learner 2 of=1,2,3 accepted=2 current=1 last=1:5
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:5 epoch=-1
> DIFF 1:4
  abandon: packet that has no place here (DIFF that does not fit 0x100000005)
> learner 2 of=1,2,3 accepted=2 current=1 last=1:5
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:5 epoch=-1
> SNAP
  abandon: malformed packet (SNAP)
> learner 2 of=1,2,3 accepted=2 current=1 last=1:5
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:5 epoch=-1
> SNAP 1:7
  install 1:7
> installed 1:8
  abandon: snapshot is not the one that was announced (announced was 0x100000007)
> learner 2 of=1,2,3 accepted=2 current=1 last=1:5
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:5 epoch=-1
> DIFF 1:5
  nothing
> INFORM 2:1
  abandon: packet that has no place here (INFORM for a participant)
> learner 2 of=1,2,3 accepted=2 current=1 last=1:5
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:5 epoch=-1
> DIFF 1:5
  nothing
> SYNC 0:0
  abandon: packet that has no place here (SYNC)
> learner 2 of=1,2,3 accepted=2 current=1 last=1:5
  nothing
> connected
  send FOLLOWERINFO 2:0
> LEADERINFO 2:0
  send ACKEPOCH 1:5 epoch=-1
> DIFF 1:5
  nothing
> COMMIT 2:1
  abandon: commit out of order (expected is none)
