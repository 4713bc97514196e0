// Package integration tests the real binary from outside: a Caddy with the module,
// started as a process with folders and ports of its own. integration/caddy is that
// binary; integration/bench measures it.
//
// # What holds
//
// The invariants of a registry, the tests that hold them, and how many cases they try
// by default and in the long run (GENERIC_REGISTRY_LONG=1). The suites of storetest run
// in the packages of the stores.
//
//   - I1, I4: what was acknowledged is there after any crash, and what was deleted is not.
//     TestKillLosesNothing: 25 kills; 1,000. TestPowerCutLosesNothing: 10 power cuts of
//     ext4 and XFS; 200. TestFaults: 378 faults of the blob store, at each operation; 2,271.
//     TestPacksAreAsAMap, TestAPowerCutMayComeAfterAnyWrites: packs that are killed, or lose
//     any of their last writes.
//     TestFaultsOfTheJournal: 68 faults of the journal; 888, and 16 random scenarios.
//     TestEIO, TestEIOOfPacks: system calls that fail at 17 positions; 153.
//   - I2, I3: no name without bytes, and no bytes without a name after a sweep. The same
//     tests.
//   - I5, I7: of concurrent publishes one wins, and its bytes never change. TestContract,
//     TestRegistryOverBadgerAndFiles, TestClientsContendForFiles,
//     TestHistoriesAreLinearizable.
//   - I6: references and sums are those of the files. TestModelOfBadgerAndFiles, 20
//     histories; 100. TestCheckTellsContradictions.
//   - I8: a refusal leaves everything as it was; a failure leaves the old or the new state.
//     TestFaults, TestEIO, TestFullDisk: 2 fills of each disk; 10.
//   - I9, I10: histories are linearizable; a deleted version is gone at once and whole.
//     TestHistoriesAreLinearizable, 40 histories; 240. TestKillLosesNothing. A draft becomes a
//     version at once and whole: TestADraftIsPublishedWhole.
//   - I11: the database can be made from the journal. TestDamagedDatabasesAreMadeAnew,
//     TestRebuildGivesTheSameListing: 3,300 changes; 110,000.
//   - I12: damage is found and told. TestBitFlips: 16 flipped bits in metadata and 40 in
//     blobs; 200 and 1,000.
//   - I13: memory, goroutines and descriptors are bounded. TestMemoryOfUploads,
//     TestMemoryOfSlowUploads, TestRefusedReloadsLeaveNothing, goleak in every suite.
//   - I14: nobody changes anything without being allowed to. TestHostileRequests,
//     TestWritesNeedAUser.
//
// # Faults, and what becomes of them
//
// Those with the tag mounts need it; the others run by default, in the package where they
// stand. All faults at once are enumerated by TestSystemCallsOfOpening and
// TestSystemCallsOfRunning: each operation on the metadata fails in five ways, is slow,
// and hangs.
//
//   - D1: a database that failed is never touched again; Caddy goes on, and the store opens
//     it again. TestAMemtableThatCannotBeMade, TestAPanicOfBadgerFailsTheDatabase,
//     TestBadgerDoesNotEndTheProcess, TestACompactionThatCannotRemoveATable; mounts: TestShortageOfInodes,
//     TestShortageOfDescriptors, TestShortageOfDescriptorsAtStart, TestSystemCallsOfRunning.
//   - D2: an opening that takes long is a state: Start waits 10 seconds, and health says how
//     far the opening is. TestAnOpeningThatTakesLong, TestTemporaryErrorsAreNoConfigurationFault.
//   - D3: a database is put aside on positive evidence only; what was deleted does not come
//     back. TestADatabaseThatDoesNotOpenIsNotPutAside, TestALogThatIsInATableAlready,
//     TestACompactionThatLosesATable, TestABlobThatMayBeOld; mounts:
//     TestSystemCallsOfOpening.
//   - D4: checkpoints bound the journal, and what a start and a rebuild take of memory.
//     TestADatabaseIsMadeOfACheckpointAndWhatFollows, TestACheckpointThatIsCut,
//     TestBackupsGoOnAcrossACheckpoint.
//   - D5, F1: a publish keeps its own bytes. TestAPublishOverRottenBytesIsGood,
//     TestRegistryOverBadgerAndFiles.
//   - D6: the sweep takes what is old and was seen unnamed twice, and waits for an
//     administrator when that is unusually much or the metadata is older than the blobs.
//     TestTheSweepTakesWhatIsOldAndSeenTwice, TestAnUnusualSweepWaitsForAnAdministrator,
//     TestMetadataThatIsTooOldDestroysNothing.
//   - D7: the scrub reads the journal and repairs it. TestRotInTheJournalIsRepaired.
//   - D8: uploads need free inodes and descriptors. TestAStoreOnADiskThatFills,
//     TestAServerWithoutDescriptorsRefusesUploads;
//     mounts: TestShortageOfInodes, TestShortageOfDescriptors.
//   - D9: a call that hangs is told, and keeps nothing else from running: TestABadgerThatHangs,
//     TestAStopDoesNotWaitForAnOpeningThatHangs, TestACallThatHangsInTheBackgroundIsTold;
//     mounts: TestSystemCallsOfOpening, TestSystemCallsOfRunning.
//   - D10: files that are removed under a server are noticed, and a directory stays claimed.
//     TestFilesRemovedUnderAServer. So are blobs that are not mounted, which are no blobs that
//     are lost: TestBlobsThatAreNotMounted, TestADirectoryThatIsGoneSaysNothingOfBlobs.
//   - D11: what was put aside goes away. TestQuarantineIsBoundedByAgeAndNumber,
//     TestWhatWasPutAsideGoesAway, TestAKillBringsNothingBack.
//   - D12: shortage is 503, lasting states are told on change and once a minute, and
//     Retry-After is the real interval. TestRetryAfterIsWhenTheStoreIsTriedAgain,
//     TestAMemtableWithoutRoomIsToldOnce, TestAStoreThatDoesNotOpenIsTriedEverMoreSeldom; mounts:
//     TestEIO, TestEIOAtStart, TestAReadOnlyRootServesReads.
//   - F3: 408 is for bodies only. TestATimeoutIsThatOfTheClientOrOfTheStore.
//   - F4: each call of a store has a deadline, or is told when it hangs, and work ends when
//     nobody wants it. TestNoRequestWaitsForEverForAStore,
//     TestACallThatHangsInTheBackgroundIsTold, TestNobodyWaitsForADiskThatDoesNotAnswer,
//     TestWorkEndsWhenNobodyWantsIt.
//
// # Several nodes
//
// What must not be left out where several processes share PostgreSQL and S3, and the tests that
// fail without it (-tags servers, but for those of one package):
//
//   - N1: a publish refuses bytes that another process may have swept. Contract of Shared,
//     "bytes that another one swept get no name"; TestSeveralNodes, "one that is stopped between
//     bytes and name".
//   - N2: bytes that were given up, or deleted, are condemned for as long as somebody who was
//     stopped may name them. Contract of Shared, "bytes of an upload that another one gave up get
//     no name".
//   - N3: deleted bytes stay for the grace that links have. TestGrace.
//   - N4: no publish rests on bytes that another one stored: the name takes its own.
//     TestAPublishOverRottenBytesIsGood; contract of Shared, "damage that one finds all know, and
//     any publish heals".
//   - N5: a lost connection is not taken for a change that did not happen. TestLostCommits.
//   - N6: what a change reads it has locked before. Contract of Shared, "a quota is exact while all
//     publish", "of racing publishes one wins, and its bytes are served".
//   - N7: a bucket that is gone is not objects that are. TestOnlyTheServersWordMakesABlobMissing,
//     which needs no server; TestSeveralNodes, "under faults".
//   - N8: damage is known to all. Contract of Shared, "damage that one finds all know, and any
//     publish heals".
//   - N9: an object of another size is damage. Contract of SharedBlobs, "a blob of another size is
//     damaged"; TestOnlyTheServersWordMakesABlobMissing.
//   - N10: who goes on with an upload has it alone. Contract of Shared, "an upload goes on at
//     another one, for who began it", "who was overtaken with an upload tells nobody of success";
//     TestPartsOfWhoWasOvertaken.
//   - N11: each change is told, in the order of its owner, whichever node made it, and one node
//     delivers. TestWebhooksOfSeveralNodes; contract of Shared, "changes of all are told, in the
//     order of each owner", "bookmarks are of who read them last"; TestAChangeThatIsCommittedLate,
//     TestChangesOfAnOwnerWhoseTransactionsBeganInAnotherOrder, TestOneOfSeveralDelivers.
//   - N12: one node scrubs at a time, and once a week. TestOneNodeScrubs, TestAnotherNodeScrubsOn.
//   - N13: a standby that takes the place of its primary has what was acknowledged.
//     TestSeveralNodes, "under faults".
//
// # What went wrong elsewhere
//
// Incidents of other registries, and the tests that hold them off here:
//
//   - Open to all when authentication was forgotten, or for a method that no rule named:
//     TestWritesNeedAUser, TestHostileRequests.
//   - A path that a guard reads otherwise than the registry: FuzzRouteGuards,
//     TestAGuardInFrontCannotBePassedBy, TestHostileRequests.
//   - Writes to another owner, or a delete taken for a write: TestRulesOfOwners,
//     TestAccessByPackageGroupAndAction, TestScopesOfTokens, FuzzAccess.
//   - A full disk, endless or stalled uploads, ranges without number:
//     TestAStoreWithoutRoomDoesNotStopCaddy, TestQuotaIsExact,
//     TestConcurrentUploadsAreLimited, TestAStalledUploadIsEnded,
//     TestMemoryOfListsOfChecksums, FuzzRange.
//   - A published page that acts in the registry's origin: TestHeadersOfADownload,
//     TestEncodeLeavesArtifactsAlone. A name that acts in a page: TestNoNameRunsInChromium,
//     TestErrorRoutesGetNoMarkup.
//   - Credentials of a client that follow a redirect to another server:
//     TestTheTokenStaysWithItsServer.
//   - Bytes for those who know their digest: TestADigestOpensNothing.
//   - Names that exist told from those that do not: TestPrivateOwnersTellNothing,
//     TestJSONAPITellsNothingPrivate.
//   - Two names that one store takes for the same and another does not: TestAccess,
//     TestContract, FuzzPattern.
//   - A name that becomes a header or a line of the log: TestHostileRequests,
//     TestEveryChangeIsAudited.
//   - A data directory that is somebody else's, or paths that leave it:
//     TestDirectoriesThatAreNotTaken, FuzzLocatorsStayInside.
//   - A browser that sends cached credentials for another site: TestOrderOfRefusals.
//   - A user named by a header that anyone can send: TestPortalOfTheDocuments,
//     TestCheckClaim, TestHostileRequests.
package integration
