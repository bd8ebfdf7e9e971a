# Observers, servers that are not members, and voters that come as observers because they cannot trust their disks: none of them
# counts in any barrier or for any commit.
> leader 1 of=1,2,3 observers=4 accepted=1 current=1 last=1:1
  nothing
> 4 connects observer accepted=1
  nothing
> 3 connects observer accepted=1
  nothing
> 9 connects accepted=1
  nothing
> 2 connects accepted=1
  save accepted epoch 2
> saved accepted 2
  send to 4 LEADERINFO 2:0
  send to 3 LEADERINFO 2:0
  send to 9 LEADERINFO 2:0
  send to 2 LEADERINFO 2:0
> 4: ACKEPOCH 1:1 epoch=1
  nothing
> 3: ACKEPOCH -1 epoch=-1
  nothing
> 9: ACKEPOCH 1:1 epoch=1
  nothing
> 2: ACKEPOCH 1:1 epoch=1
  save current epoch 2
  send to 4 DIFF 1:1
  send to 4 NEWLEADER 2:0
  take snapshot for 3
  send to 9 DIFF 1:1
  send to 9 NEWLEADER 2:0
  send to 2 DIFF 1:1
  send to 2 NEWLEADER 2:0
> snapshot 3 1:1
  send to 3 NEWLEADER 2:0
> saved current 2
  nothing
> 4: ACK 2:0
  nothing
> 3: ACK 2:0
  nothing
> 9: ACK 2:0
  nothing
> 2: ACK 2:0
  established 2
  send to 4 UPTODATE
  send to 3 UPTODATE
  send to 9 UPTODATE
  send to 2 UPTODATE
  send to 4 PING 2:0 answers=0
  send to 3 PING 2:0 answers=0
  send to 9 PING 2:0 answers=0
  send to 2 PING 2:0 answers=0
> propose 2:1
  send to 9 PROPOSAL 2:1
  send to 2 PROPOSAL 2:1
> synced 2:1
  nothing
> 9: ACK 2:1
  nothing
> 4: ACK 2:1
  nothing
> 3: ACK 2:1
  nothing
> 2: ACK 2:1
  send to 4 INFORM 2:1
  send to 3 INFORM 2:1
  send to 9 COMMIT 2:1
  send to 2 COMMIT 2:1
  committed 2:1
