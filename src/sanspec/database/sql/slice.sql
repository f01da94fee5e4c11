-- One slice of the catalogue for anonymous SkyServer: the other cuts are made here (sanspec.query.passes).
SELECT $columns
FROM SpecObj S
    JOIN PhotoObjAll P ON P.objID = S.bestObjID
    $joins
WHERE S.specObjID BETWEEN $first AND $last
    AND S.class = 'GALAXY'
    AND S.instrument = 'SDSS'
    AND P.mode = 1
    AND S.z BETWEEN $z_min AND $z_max
