package storetest

var (
	isolationTests []test
	commitTests    []test
	blobTests      []test
	feedTests      []test
	modelTests     []test
)
